import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, joinSql, keyword, ready, rowArrays, sql, type ReadyStatement, type Sql } from '../sql.ts';
import { runRecurring } from './recurring.ts';
import { planSegments, type Position, type SortKey } from './sort.ts';
import { fieldSql, whereSql, type Source } from './source.ts';
import { castOf } from './values.ts';

/** Columns of a SELECT, aliased `v0`, `v1`, ... so that no field name can clash with another column. */
export function valueColumns(source: Source, fields: readonly FieldModel[]): Sql {
  return joinSql(fields.flatMap((field, index) => valueParts(source, field).map((part, at) => sql`${part} as ${ident(`${at === 0 ? 'v' : 'o'}${index}`)}`)));
}

/** What is selected of a field: its value, and of a reference to one of several objects the object's name too. */
export function valueParts(source: Source, field: FieldModel): readonly Sql[] {
  const value = fieldSql(source, field);
  // Quotients come with twelve places; exact numbers travel as their shortest text.
  if (field.formula !== null && fieldType(field).column?.cast === 'numeric') return [sql`trim_scale((${value})::numeric)`];
  return field.objectColumn !== null && hasObjectColumn(field) ? [value, ident(source.alias, field.objectColumn)] : [value];
}

/** Casts whose values the driver gives as JSON does, as it does the version; all others come as the database's own text. */
const AS_JSON: ReadonlySet<string> = new Set(['text', 'uuid', 'boolean', 'text[]', 'jsonb']);
/** A function of PostgreSQL takes a hundred arguments. */
const MOST_ARGUMENTS = 100;

/** The columns that `valueColumns` gave a selection, as one JSON array that `makeShape` reads as if it were the row. */
export function valuesAsJson(alias: string, fields: readonly FieldModel[]): Sql {
  const parts = fields.flatMap((field, index) => {
    const value = ident(alias, `v${index}`);
    const isPlain = field.name === 'version' || AS_JSON.has(castOf(field));
    const shown = isPlain ? value : sql`${value}::text`;
    return hasObjectColumn(field) ? [shown, ident(alias, `o${index}`)] : [shown];
  });
  const chunks = Array.from({ length: Math.ceil(parts.length / MOST_ARGUMENTS) }, (_, at) => parts.slice(at * MOST_ARGUMENTS, (at + 1) * MOST_ARGUMENTS));
  return joinSql(
    chunks.map((chunk) => sql`jsonb_build_array(${joinSql(chunk)})`),
    ' || ',
  );
}

/** Makes the function that turns a row with the columns of `valueColumns` by name into a record. */
export function makeNamedShape(fields: readonly FieldModel[]): (row: Readonly<Record<string, unknown>>) => FreshRecord {
  const names = fields.flatMap((field, index) => (hasObjectColumn(field) ? [`v${index}`, `o${index}`] : [`v${index}`]));
  const shape = makeShape(fields);
  return (row) => shape(names.map((name) => row[name]));
}

/** A record that was just made from a row; nobody else holds it yet, so that names and expansions can be put into it. */
export type FreshRecord = Record<string, unknown> & { id: string; version: number };

/** Makes the boundary between rows of the driver, as arrays in the order of `valueColumns`, and records as callers see them. */
export function makeShape(fields: readonly FieldModel[]): (row: readonly unknown[]) => FreshRecord {
  let columns = 0;
  const readers = fields.map((field) => {
    const at = columns;
    columns += hasObjectColumn(field) ? 2 : 1;
    return { name: field.name, at, format: fieldType(field).format, isPointer: hasObjectColumn(field) };
  });
  const empty = Object.fromEntries(fields.map((field) => [field.name, null]));
  const idAt = readers.find((reader) => reader.name === 'id')?.at ?? -1;
  const versionAt = readers.find((reader) => reader.name === 'version')?.at ?? -1;
  return (row) => {
    const id = row[idAt];
    const version = row[versionAt];
    if (typeof id !== 'string' || typeof version !== 'number') throw new AppError('internal', 'A record came without id or version.');
    const record: FreshRecord = { ...empty, id, version };
    for (const { name, at, format, isPointer } of readers) {
      const value = format(row[at]);
      record[name] = isPointer && value !== null ? { object: row[at + 1], id: value } : value;
    }
    return record;
  };
}

/** How many columns `valueColumns` gives. */
export function countColumns(fields: readonly FieldModel[]): number {
  return fields.reduce((sum, field) => sum + (hasObjectColumn(field) ? 2 : 1), 0);
}

/** A reference to one of several objects takes a second column with the object's name. */
export function hasObjectColumn(field: FieldModel): boolean {
  return field.formula === null && field.objectColumn !== null;
}

export interface PageRow {
  readonly record: FreshRecord;
  /** The columns as the driver gave them; `positionOf` reads the place in the order from them. */
  readonly row: readonly unknown[];
}

/** Stands for a value that is known only when the statement is sent. */
export const SLOT: unique symbol = Symbol('slot');

/** The statements of a page, a stretch of the order each; the limit is still open (`SLOT`). */
export interface PagePlan {
  readonly fields: readonly FieldModel[];
  /** Where in a row each key of the order stands. */
  readonly keysAt: readonly number[];
  readonly shape: (row: readonly unknown[]) => FreshRecord;
  readonly segments: readonly { readonly statement: ReadyStatement; readonly values: readonly unknown[] }[];
}

/** Plans the page after a position, or the first one. */
export function planPage(
  source: Source,
  fields: readonly FieldModel[],
  conditions: readonly Sql[],
  keys: readonly SortKey[],
  after: Position | null,
  shape = makeShape(fields),
): PagePlan {
  const segments = planSegments(keys, after).map((segment) => {
    const { text, values } = pageSql(source, fields, keys, [...conditions, ...segment.where], segment.orderBy, SLOT);
    return { statement: ready(text), values };
  });
  return { fields, keysAt: keyColumns(fields, keys), shape, segments };
}

/** Stand for the keys of a position that is known only when the statement is sent; nobody can write them as a value. */
const KEY_MARKS: readonly string[] = Array.from({ length: 8 }, (_, at) => `${randomUUID()} ${String(at)}`);

/** A position whose filled keys are left open, so that one plan serves every page with empty keys in the same places. */
export function openPosition(position: Position): Position {
  return position.map((value, at) => (value === null ? null : (KEY_MARKS[at] ?? value)));
}

/** What a page is read with beside its plan. */
export interface PageValues {
  /** Fills in a position that the plan leaves open. */
  readonly after?: Position | null;
  /** Further values that the plan leaves open, by what stands for them. */
  readonly given?: ReadonlyMap<unknown, unknown>;
  /** PostgreSQL is to plan for these values alone, which may be far from what others are. */
  readonly isOnce?: boolean;
}

/** Up to `limit` rows in order. */
export async function readPage(db: Knex, plan: PagePlan, limit: number, { after = null, given, isOnce = false }: PageValues = {}): Promise<readonly PageRow[]> {
  const found: PageRow[] = [];
  for (const { statement, values } of plan.segments) {
    if (found.length >= limit) break;
    const known = fillKeys(fillSlots(values, limit - found.length), after);
    const filled = given === undefined ? known : fillGiven(known, given);
    for (const row of await (isOnce ? rowArrays(db, statement, filled) : runRecurring(db, statement, filled))) found.push({ record: plan.shape(row), row });
  }
  return found;
}

function fillKeys(values: readonly unknown[], after: Position | null): readonly unknown[] {
  if (after === null) return values;
  return values.map((bound) => {
    const at = typeof bound === 'string' ? KEY_MARKS.indexOf(bound) : -1;
    return at < 0 ? bound : after[at];
  });
}

/** The bound values, with the one that was left open. */
export function fillSlots(values: readonly unknown[], value: unknown): readonly unknown[] {
  return values.map((bound) => (bound === SLOT ? value : bound));
}

/** The bound values, with those that are given. */
export function fillGiven(values: readonly unknown[], given: ReadonlyMap<unknown, unknown>): readonly unknown[] {
  return values.map((bound) => (given.has(bound) ? given.get(bound) : bound));
}

/** Text of one page's statement. */
export function pageSql(
  source: Source,
  fields: readonly FieldModel[],
  keys: readonly SortKey[],
  conditions: readonly Sql[],
  orderBy: Sql,
  limit: number | typeof SLOT,
): Sql {
  const added = keys.filter((key) => shownAt(fields, key) === null);
  const positions = added.map((key, index) => sql`, ${key.value}::text as ${ident(`k${index}`)}`);
  const order = orderBy.text === '' ? keyword('') : sql` order by ${orderBy}`;
  return sql`select ${valueColumns(source, fields)}${joinSql(positions, '')} from ${source.from}${whereSql(source, conditions)}${order} limit ${limit}`;
}

/** The column of a field that is shown and whose value the driver gives as the database's own text (or a whole number). */
function shownAt(fields: readonly FieldModel[], key: SortKey): number | null {
  const index = key.isValue ? fields.findIndex((field) => field.id === key.fieldId) : -1;
  return index < 0 ? null : countColumns(fields.slice(0, index));
}

/** Keys that are not shown come after the fields, in their order. */
function keyColumns(fields: readonly FieldModel[], keys: readonly SortKey[]): readonly number[] {
  let next = countColumns(fields);
  return keys.map((key) => shownAt(fields, key) ?? next++);
}

/** The place of a row in the order of its page. */
export function positionOf(plan: PagePlan, row: readonly unknown[]): Position {
  return plan.keysAt.map((at) => {
    const value = row[at];
    return value === null || value === undefined ? null : String(value);
  });
}
