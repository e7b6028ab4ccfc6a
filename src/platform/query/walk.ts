import { setImmediate as sent } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, keyword, ready, sql } from '../sql.ts';
import { onDay } from './effective.ts';
import { addNames, fieldsToRead } from './expand.ts';
import { planFilter } from './filter.ts';
import { fillSlots, planPage, positionOf, readPage, SLOT } from './page.ts';
import { runRecurring } from './recurring.ts';
import { rowText } from './row-text.ts';
import { planSort, type Position } from './sort.ts';
import { openSource, selectFields, whereSql, type Selection, type Source } from './source.ts';
import type { ReadQuery, RecordData } from './types.ts';

export type WalkQuery = Pick<ReadQuery, 'object' | 'filter' | 'equals' | 'fields' | 'search' | 'effectiveOn'>;

const ROWS = 2_000;
/** Rows of a page of texts: as many as keep it small, so that long texts do not take the memory. */
const TEXTS = [1_000, 300, 100, 30, 10, 3, 1] as const;
const FIRST_TEXTS = 100;
const MOST_CHARACTERS = 2_000_000;

function openWalk(call: CallContext, query: WalkQuery): { readonly source: Source; readonly selection: Selection } {
  const source = openSource(onDay(call, query.object, query.effectiveOn), query.object);
  return { source, selection: selectFields(source, query.fields) };
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
  return pagesOf(async (after: Position | null) => {
    const page = planPage(source, fields, conditions, keys, after);
    const found = await readPage(db, page, ROWS);
    const records = found.map(({ record }) => record);
    if (selection.withName) await addNames(db, source, records);
    const last = found.at(-1);
    return { found: records, next: last === undefined || found.length < ROWS ? null : positionOf(page, last.row) };
  });
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
  const id = ident(source.alias, 'id');
  const conditions = planFilter(source, query);
  const plan = (where: typeof conditions, limit: number) => {
    // The limit stands in the text: with a value of its own PostgreSQL would plan each page anew.
    const { text, values } =
      sql`select ${rowText(source, fields)}, ${id} from ${source.from}${whereSql(source, where)} order by ${id} limit ${keyword(String(limit))}`;
    return { statement: ready(text), values };
  };
  const first = plan(conditions, FIRST_TEXTS);
  const later = new Map<number, typeof first>();
  const pages = pagesOf(async (place: { readonly after: string; readonly limit: number } | null) => {
    const limit = place?.limit ?? FIRST_TEXTS;
    const planned = place === null ? first : (later.get(limit) ?? plan([...conditions, sql`${id} > ${SLOT}::uuid`], limit));
    if (place !== null) later.set(limit, planned);
    const rows = await runRecurring(db, planned.statement, fillSlots(planned.values, place?.after));
    const found = rows.map(textOf);
    const last = rows.length < limit ? null : rows.at(-1)?.[1];
    return { found, next: typeof last === 'string' ? { after: last, limit: limitAfter(found) } : null };
  });
  return { fields, pages };
}

/** Rows to read at once where they are as long as these. */
function limitAfter(texts: readonly string[]): number {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  return TEXTS.find((limit) => limit * characters <= MOST_CHARACTERS * texts.length) ?? 1;
}

/** The boundary to what the driver gives. */
function textOf([text]: readonly unknown[]): string {
  if (typeof text !== 'string') throw new AppError('internal', 'A row came without its text.');
  return text;
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
