import type { FieldModel } from '../model/types.ts';
import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { invalidQuery } from './invalid-query.ts';
import { fieldSql, readableField, type Source } from './source.ts';
import { bound, castOf } from './values.ts';

/** One key of an order. Nulls come last both ways. */
export interface SortKey {
  readonly fieldId: string;
  /** The key is the field's own value, so that a page which shows the field need not select it again. */
  readonly isValue: boolean;
  readonly isDescending: boolean;
  readonly value: Sql;
  readonly cast: string;
  readonly isNullable: boolean;
}

const NEVER_NULL: ReadonlySet<string> = new Set(['id', 'version', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy']);
/** Types whose order is the database's own; text is ordered by its sort key. */
const ORDERED: ReadonlySet<string> = new Set(['numeric', 'integer', 'boolean', 'date', 'timestamptz']);
const MOST_KEYS = 4;

/**
 * The order of a list; the id is always the last key, so that the order is total.
 * @throws AppError invalid_query for unknown fields and for fields that have no order
 */
export function planSort(source: Source, sort: readonly string[] | undefined): readonly SortKey[] {
  const keys: SortKey[] = [];
  const seen = new Set<string>();
  const wanted = sort ?? [];
  if (wanted.length > MOST_KEYS) throw invalidQuery('sort', `At most ${MOST_KEYS} fields can be sorted by.`);
  wanted.forEach((entry, index) => {
    const isDescending = entry.startsWith('-');
    const field = readableField(source, isDescending ? entry.slice(1) : entry, `sort/${index}`);
    if (seen.has(field.name)) throw invalidQuery(`sort/${index}`, `The list is already sorted by "${field.name}".`);
    seen.add(field.name);
    keys.push(sortKey(source, field, isDescending, `sort/${index}`));
  });
  const id = source.object.fields.get('id');
  if (id !== undefined && !seen.has('id')) keys.push(sortKey(source, id, keys.at(-1)?.isDescending ?? false, 'sort'));
  return keys;
}

function sortKey(source: Source, field: FieldModel, isDescending: boolean, parameter: string): SortKey {
  const cast = castOf(field);
  if (field.sortColumn === null && !ORDERED.has(cast) && field.name !== 'id') {
    throw invalidQuery(
      parameter,
      `${source.object.name} cannot be sorted by "${field.name}".`,
      'Sort by a short text, a number, a day, an instant or a picklist.',
    );
  }
  return {
    fieldId: field.id,
    isValue: field.sortColumn === null && field.formula === null && cast !== 'boolean',
    isDescending,
    value: field.sortColumn === null ? fieldSql(source, field) : ident(source.alias, field.sortColumn),
    cast: field.sortColumn === null ? cast : 'text',
    isNullable: !NEVER_NULL.has(field.name),
  };
}

/** A stretch of the order: the leading key's values, or its nulls, each walked along an index. */
export interface Segment {
  readonly where: readonly Sql[];
  readonly orderBy: Sql;
}

/** A position in the order: the keys of the last row seen, as the database's own text. */
export type Position = readonly (string | null)[];

/** The stretches to walk, in turn, from a position (or from the start). */
export function planSegments(keys: readonly SortKey[], after: Position | null): readonly Segment[] {
  const [lead, ...rest] = keys;
  if (lead === undefined) return [];
  if (!lead.isNullable) return [{ where: after === null ? [] : [afterSql(keys, after)], orderBy: orderSql(keys) }];
  const filled: SortKey[] = [{ ...lead, isNullable: false }, ...rest];
  const nulls: Segment = {
    where: [sql`${lead.value} is null`, ...(after !== null && after[0] === null ? [afterSql(rest, after.slice(1))] : [])],
    orderBy: orderSql(rest),
  };
  if (after !== null && after[0] === null) return [nulls];
  return [{ where: [sql`${lead.value} is not null`, ...(after === null ? [] : [afterSql(filled, after)])], orderBy: orderSql(filled) }, nulls];
}

function orderSql(keys: readonly SortKey[]): Sql {
  // A key that is never null is ordered plainly: then an ascending index serves both ways.
  return joinSql(keys.map((key) => sql`${key.value} ${keyword(`${key.isDescending ? 'desc' : 'asc'}${key.isNullable ? ' nulls last' : ''}`)}`));
}

/** Rows strictly after a position. */
function afterSql(keys: readonly SortKey[], position: Position): Sql {
  const isPlain = keys.every((key, index) => !key.isNullable && position[index] !== null && key.isDescending === keys[0]?.isDescending);
  if (isPlain) {
    const values = keys.map((key, index) => bound(key.cast, position[index] ?? ''));
    return sql`(${joinSql(keys.map((key) => key.value))}) ${keyword(keys[0]?.isDescending === true ? '<' : '>')} (${joinSql(values)})`;
  }
  const alternatives = keys.flatMap((key, index) => {
    const later = laterSql(key, position[index] ?? null);
    return later === null ? [] : [joinSql([...keys.slice(0, index).map((earlier, at) => sameSql(earlier, position[at] ?? null)), later], ' and ')];
  });
  const [lead] = keys;
  const all = sql`((${joinSql(alternatives, ') or (')}))`;
  if (lead === undefined || lead.isNullable || typeof position[0] !== 'string') return all;
  return sql`${lead.value} ${keyword(lead.isDescending ? '<=' : '>=')} ${bound(lead.cast, position[0])} and ${all}`;
}

function sameSql(key: SortKey, value: string | null): Sql {
  return value === null ? sql`${key.value} is null` : sql`${key.value} = ${bound(key.cast, value)}`;
}

function laterSql(key: SortKey, value: string | null): Sql | null {
  if (value === null) return null;
  const later = sql`${key.value} ${keyword(key.isDescending ? '<' : '>')} ${bound(key.cast, value)}`;
  return key.isNullable ? sql`(${later} or ${key.value} is null)` : later;
}
