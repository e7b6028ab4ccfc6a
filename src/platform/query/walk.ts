import { setImmediate as sent } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, joinSql, keyword, ready, sql, type Sql } from '../sql.ts';
import { onDay } from './effective.ts';
import { addNames, fieldsToRead } from './expand.ts';
import { planFilter } from './filter.ts';
import { fillSlots, planPage, positionOf, readPage, SLOT } from './page.ts';
import { runRecurring } from './recurring.ts';
import { planSort, type Position } from './sort.ts';
import { fieldSql, openSource, selectFields, whereSql, type Selection, type Source } from './source.ts';
import type { ReadQuery, RecordData } from './types.ts';
import { castOf } from './values.ts';
import { mayBeLong, planTexts } from './walk-texts.ts';

export type WalkQuery = Pick<ReadQuery, 'object' | 'filter' | 'equals' | 'fields' | 'search' | 'effectiveOn'>;

const ROWS = 2_000;
/** Bytes of the texts of records that are read at once, unless one record alone has more. */
const MOST_BYTES = 8_000_000;

function openWalk(call: CallContext, query: WalkQuery): { readonly source: Source; readonly selection: Selection } {
  const source = openSource(onDay(call, query.object, query.effectiveOn), query.object);
  return { source, selection: selectFields(source, query.fields) };
}

interface RecordsPlace {
  readonly after: Position;
  /** How many of the next rows are read at once, in turn; empty when that is to be asked for. */
  readonly counts: readonly number[];
}

/**
 * Every record that fits and that the caller may read, in the order of the ids, in constant memory and without a transaction that
 * stays open: an id never changes, so that no record is left out or comes twice. The query is checked before the first page.
 * @throws AppError not_found for an object, invalid_query for any part of the query that cannot be understood
 */
export function walkRecords(db: Knex, call: CallContext, query: WalkQuery): AsyncGenerator<readonly RecordData[]> {
  const { source, selection } = openWalk(call, query);
  const fields = fieldsToRead(source, selection.fields, selection.withName, []);
  const conditions = planFilter(source, query);
  const keys = planSort(source, ['id']);
  const countsAfter = makeCounts(db, source, fields, conditions);
  return pagesOf(async (place: RecordsPlace | null) => {
    const page = planPage(source, fields, conditions, keys, place?.after ?? null);
    const known = place?.counts ?? [];
    const [count = ROWS, ...counts] = known.length > 0 ? known : await countsAfter(place?.after[0] ?? null);
    const found = await readPage(db, page, count);
    const records = found.map(({ record }) => record);
    if (selection.withName) await addNames(db, source, records);
    const last = found.at(-1);
    return { found: records, next: last === undefined || found.length < count ? null : { after: positionOf(page, last.row), counts } };
  });
}

/**
 * Makes what answers how many of the next rows may be read at once, in turn, after an id or from the start. It asks for the lengths
 * of texts, which PostgreSQL knows without reading the long ones. After the last row there is always room for more.
 */
function makeCounts(db: Knex, source: Source, fields: readonly FieldModel[], conditions: readonly Sql[]): (after: string | null) => Promise<readonly number[]> {
  const lengths = fields.filter(mayBeLong).map((field) => lengthSql(source, field));
  const id = ident(source.alias, 'id');
  return async (after) => {
    if (lengths.length === 0) return [ROWS];
    const where = after === null ? conditions : [...conditions, sql`${id} > ${SLOT}::uuid`];
    const { text, values } = sql`select ${joinSql(lengths, ' + ')} from ${source.from}${whereSql(source, where)} order by ${id} limit ${keyword(String(ROWS))}`;
    const rows = await runRecurring(db, ready(text), fillSlots(values, after));
    const counts: number[] = [];
    let [count, bytes] = [0, 0];
    for (const [length] of rows) {
      if (count > 0 && bytes + Number(length) > MOST_BYTES) {
        counts.push(count);
        [count, bytes] = [0, 0];
      }
      count += 1;
      bytes += Number(length);
    }
    return [...counts, rows.length < ROWS ? ROWS : count];
  };
}

/** The length of a value in bytes. */
function lengthSql(source: Source, field: FieldModel): Sql {
  const value = fieldSql(source, field);
  return sql`coalesce(octet_length(${castOf(field) === 'text' ? value : sql`(${value})::text`}), 0)::bigint`;
}

/** A walk that leaves each row the text that PostgreSQL wrote: for whoever needs the texts of values and not the values. */
export interface TextWalk {
  /** What the rows hold, in the order that was asked for; `makeRowCells` takes them apart. */
  readonly fields: readonly FieldModel[];
  readonly pages: AsyncGenerator<readonly string[]>;
}

/**
 * The same records in the same order, as texts. Null when something asked for is no text of PostgreSQL's: the computed name of a record,
 * or no field at all.
 * @throws AppError as `walkRecords`
 */
export function walkTexts(db: Knex, call: CallContext, query: WalkQuery & { readonly fields: readonly string[] }): TextWalk | null {
  const { source, selection } = openWalk(call, query);
  const fields = query.fields.flatMap((name) => source.object.fields.get(name) ?? []);
  if (selection.withName || fields.length === 0) return null;
  const { read, whole } = planTexts(db, source, fields, planFilter(source, query));
  return { fields, pages: whole(pagesOf(read)) };
}

/** Pages one after the other; the database reads the next one while this one is used. */
async function* pagesOf<T, P>(read: (after: P | null) => Promise<{ readonly found: readonly T[]; readonly next: P | null }>): AsyncGenerator<readonly T[]> {
  let reading: ReturnType<typeof read> | null = read(null);
  while (reading !== null) {
    const { found, next }: Awaited<ReturnType<typeof read>> = await reading;
    reading = next === null ? null : read(next);
    // What goes wrong there is met when the page is asked for.
    reading?.catch(() => undefined);
    // The statement is on its way before this page takes the processor.
    if (reading !== null) await sent();
    if (found.length > 0) yield found;
  }
}
