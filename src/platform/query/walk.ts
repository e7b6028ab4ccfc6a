import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { onDay } from './effective.ts';
import { addNames, fieldsToRead } from './expand.ts';
import { planFilter } from './filter.ts';
import { planPage, positionOf, readPage } from './page.ts';
import { planSort, type Position } from './sort.ts';
import { openSource, selectFields } from './source.ts';
import type { ReadQuery, RecordData } from './types.ts';

export type WalkQuery = Pick<ReadQuery, 'object' | 'filter' | 'equals' | 'fields' | 'search' | 'effectiveOn'>;

const ROWS = 2_000;

/**
 * Every record that fits and that the caller may read, in the order of the ids, in constant memory and without a transaction that
 * stays open: an id never changes, so that no record is left out or comes twice. The query is checked before the first page.
 * @throws AppError not_found for an object, invalid_query for any part of the query that cannot be understood
 */
export function walkRecords(db: Knex, call: CallContext, query: WalkQuery): AsyncGenerator<readonly RecordData[]> {
  const ctx = onDay(call, query.object, query.effectiveOn);
  const source = openSource(ctx, query.object);
  const selection = selectFields(source, query.fields);
  const fields = fieldsToRead(source, selection.fields, selection.withName, []);
  const conditions = planFilter(source, query);
  const keys = planSort(source, ['id']);
  const read = async (after: Position | null): Promise<{ readonly records: readonly RecordData[]; readonly next: Position | null }> => {
    const page = planPage(source, fields, conditions, keys, after);
    const found = await readPage(db, page, ROWS);
    const records = found.map(({ record }) => record);
    if (selection.withName) await addNames(db, source, records);
    const last = found.at(-1);
    return { records, next: last === undefined || found.length < ROWS ? null : positionOf(page, last.row) };
  };
  async function* pages(): AsyncGenerator<readonly RecordData[]> {
    let reading: ReturnType<typeof read> | null = read(null);
    while (reading !== null) {
      const { records, next }: Awaited<ReturnType<typeof read>> = await reading;
      // The database reads the next page while this one is used; what goes wrong there is met when the page is asked for.
      reading = next === null ? null : read(next);
      reading?.catch(() => undefined);
      if (records.length > 0) yield records;
    }
  }
  return pages();
}
