import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, joinSql, keyword, ready, sql, type Sql } from '../sql.ts';
import { fillSlots, SLOT } from './page.ts';
import { runRecurring } from './recurring.ts';
import { rowText } from './row-text.ts';
import { fieldSql, whereSql, type Source } from './source.ts';
import { castOf } from './values.ts';

/** Rows of a page: as many as make it no longer than that, where they are as long as those of the page before. */
const ROWS = [1_000, 300, 100, 30, 10, 3, 1] as const;
const FIRST_ROWS = 100;
const USUAL_LENGTH = 2_000_000;
/** Bytes of a page at the most, whatever the rows are like: a row with more than its part of it is read by itself. */
const MOST_BYTES = 8_000_000;
/** Characters of a text that is not long. */
const SHORT = 1_000;

/** A row: its text, or its length in bytes where that is too much for its page; and its id. */
type TextRow = readonly unknown[];

interface TextPlace {
  readonly after: string;
  readonly rows: number;
}

export interface TextPlan {
  /** Reads the page after a place, or the first one. */
  readonly read: (place: TextPlace | null) => Promise<{ readonly found: readonly TextRow[]; readonly next: TextPlace | null }>;
  /** The rows of pages as texts, with those that were too long for their page. */
  readonly whole: (pages: AsyncGenerator<readonly TextRow[]>) => AsyncGenerator<readonly string[]>;
}

/** Plans the statements that give rows as texts (`row-text.ts`), in the order of their ids. */
export function planTexts(db: Knex, source: Source, fields: readonly FieldModel[], conditions: readonly Sql[]): TextPlan {
  const id = ident(source.alias, 'id');
  const whole = rowText(source, fields);
  const stored = storedLength(source, fields);
  const select = (shown: Sql, where: readonly Sql[]): Sql =>
    sql`select ${shown} as row_text, ${id} as row_id from ${source.from}${whereSql(source, where)} order by ${id}`;
  const plan = (where: readonly Sql[], rows: number) => {
    const most = keyword(String(Math.floor(MOST_BYTES / rows)));
    // What is long is not even written, as far as that shows beforehand.
    const shown = stored === null ? whole : sql`case when ${stored} > ${most} then (${stored})::text else ${whole} end`;
    // The limit stands in the text: with a value of its own PostgreSQL would plan each page anew.
    const limit = keyword(` limit ${String(rows)}`);
    const page =
      rows === 1
        ? sql`${select(whole, where)}${limit}`
        : sql`select case when octet_length(row_text) > ${most} then octet_length(row_text)::text else row_text end, row_id
            from (${select(shown, where)}${limit}) as page order by row_id`;
    return { statement: ready(page.text), values: page.values };
  };
  const first = plan(conditions, FIRST_ROWS);
  const later = new Map<number, typeof first>();
  const single = select(whole, [...conditions, sql`${id} = any(${SLOT}::uuid[])`]);
  const wholeOf = async (ids: readonly string[]): Promise<Map<string, string>> => {
    const rows = await runRecurring(db, ready(single.text), fillSlots(single.values, ids));
    return new Map(rows.map((row) => [idOf(row), textOf(row)]));
  };
  return {
    read: async (place) => {
      const count = place?.rows ?? FIRST_ROWS;
      const planned = place === null ? first : (later.get(count) ?? plan([...conditions, sql`${id} > ${SLOT}::uuid`], count));
      if (place !== null) later.set(count, planned);
      const found = await runRecurring(db, planned.statement, fillSlots(planned.values, place?.after));
      const last = found.length < count ? undefined : found.at(-1);
      return { found, next: last === undefined ? null : { after: idOf(last), rows: rowsAfter(found) } };
    },
    whole: (pages) => withWhole(pages, wholeOf),
  };
}

/**
 * About how many bytes the values have that may be long, as they are stored: PostgreSQL knows that without reading them. Null when
 * none may be long.
 */
function storedLength(source: Source, fields: readonly FieldModel[]): Sql | null {
  const long = fields.filter((field) => field.formula === null && mayBeLong(field));
  if (long.length === 0) return null;
  const lengths = long.map((field) => {
    const value = fieldSql(source, field);
    return castOf(field) === 'text' ? sql`coalesce(octet_length(${value}), 0)` : sql`coalesce(pg_column_size(${value}), 0)`;
  });
  return joinSql(lengths, '::bigint + ');
}

/** True for a field whose values may have more than `SHORT` characters. */
export function mayBeLong(field: FieldModel): boolean {
  const cast = castOf(field);
  return cast === 'text' ? (field.maxLength ?? Infinity) > SHORT : cast === 'text[]' || cast === 'jsonb';
}

async function* withWhole(
  pages: AsyncGenerator<readonly TextRow[]>,
  wholeOf: (ids: readonly string[]) => Promise<Map<string, string>>,
): AsyncGenerator<readonly string[]> {
  for await (const rows of pages) {
    let texts: string[] = [];
    let asked = new Set<string>();
    let long = new Map<string, string>();
    for (const [index, row] of rows.entries()) {
      const text = textOf(row);
      if (!isLength(text)) {
        texts.push(text);
        continue;
      }
      const id = idOf(row);
      if (!asked.has(id)) {
        if (texts.length > 0) yield texts;
        texts = [];
        asked = new Set(longFrom(rows, index));
        long = await wholeOf([...asked]);
      }
      // What was removed meanwhile is left out.
      const found = long.get(id);
      long.delete(id);
      if (found !== undefined) texts.push(found);
    }
    if (texts.length > 0) yield texts;
  }
}

/** Ids of the rows from a place on that were too long for their page, as many as are read at once. */
function longFrom(rows: readonly TextRow[], from: number): readonly string[] {
  const ids: string[] = [];
  let length = 0;
  for (let at = from; at < rows.length; at += 1) {
    const row = rows[at] ?? [];
    const text = textOf(row);
    if (!isLength(text)) continue;
    length += Number(text);
    if (ids.length > 0 && length > USUAL_LENGTH) break;
    ids.push(idOf(row));
  }
  return ids;
}

/** Rows to read at once where they are as long as these. */
function rowsAfter(rows: readonly TextRow[]): number {
  const length = rows.reduce((sum, row) => sum + lengthOf(textOf(row)), 0);
  return ROWS.find((count) => count * length <= USUAL_LENGTH * rows.length) ?? 1;
}

const lengthOf = (text: string): number => (isLength(text) ? Number(text) : text.length);

/** The text of a row begins with a parenthesis. */
const isLength = (text: string): boolean => !text.startsWith('(');

/** The boundary to what the driver gives. */
function textOf([text]: TextRow): string {
  if (typeof text !== 'string') throw new AppError('internal', 'A row came without its text.');
  return text;
}

function idOf([, id]: TextRow): string {
  if (typeof id !== 'string') throw new AppError('internal', 'A row came without its id.');
  return id;
}
