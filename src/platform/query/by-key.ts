import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { fieldType } from '../model/field-types.ts';
import { joinSql, keyword, rows, sql } from '../sql.ts';
import { fieldSql, openSource, readableField, whereSql } from './source.ts';

/** A key of several values as one text, for look-ups in memory. */
export function keyText(values: readonly unknown[]): string {
  return JSON.stringify(values.map((value) => (value === null || value === undefined ? null : String(value))));
}

/** A live record that has a key, with the version it was read at. */
export interface KeyMatch {
  readonly id: string;
  readonly version: number;
  /** How many records have the key; above 1 this is any of them. */
  readonly count: number;
}

/** Ids of live records by the values of their key fields; see `matchesByKey`. */
export async function idsByKey(
  db: Knex,
  ctx: CallContext,
  objectName: string,
  fieldNames: readonly string[],
  keys: readonly (readonly unknown[])[],
): Promise<ReadonlyMap<string, string>> {
  const found = await matchesByKey(db, ctx, objectName, fieldNames, keys);
  return new Map([...found].map(([key, match]) => [key, match.id]));
}

/**
 * Live records that the caller may read by the values of their key fields, one statement for any number of keys.
 * Keys with an empty part find nothing.
 */
export async function matchesByKey(
  db: Knex,
  ctx: CallContext,
  objectName: string,
  fieldNames: readonly string[],
  keys: readonly (readonly unknown[])[],
): Promise<ReadonlyMap<string, KeyMatch>> {
  const source = openSource(ctx, objectName);
  const fields = fieldNames.map((name) => readableField(source, name, 'key'));
  const complete = keys.filter((key) => key.every((value) => value !== null && value !== undefined));
  if (complete.length === 0) return new Map();
  const columns = joinSql(fields.map((field) => fieldSql(source, field)));
  const lists = joinSql(
    fields.map((field, index) => sql`${complete.map((key) => fieldType(field).bind(key[index]))}::${keyword(fieldType(field).column?.cast ?? 'text')}[]`),
  );
  const values = joinSql(fields.map((field, index) => sql`${fieldSql(source, field)}::text as ${keyword(`k${String(index)}`)}`));
  const found = await rows(
    db,
    sql`select ${keyword(`"${source.alias}"."id", "${source.alias}"."version"`)}, ${values} from ${source.from}${whereSql(source, [sql`(${columns}) in (select * from unnest(${lists}))`])}`,
  );
  const matches = new Map<string, KeyMatch>();
  for (const row of found) {
    const key = keyText(fields.map((_, index) => row[`k${String(index)}`]));
    matches.set(key, { id: String(row['id']), version: Number(row['version']), count: (matches.get(key)?.count ?? 0) + 1 });
  }
  return matches;
}
