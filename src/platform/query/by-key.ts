import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { FIELD_TYPES } from '../model/field-types.ts';
import { joinSql, keyword, rows, sql } from '../sql.ts';
import { fieldSql, openSource, readableField, whereSql } from './source.ts';

/** A key of several values as one text, for look-ups in memory. */
export function keyText(values: readonly unknown[]): string {
  return JSON.stringify(values.map((value) => (value === null || value === undefined ? null : String(value))));
}

/**
 * Ids of live records by the values of their key fields, one statement for any number of keys.
 * Keys with an empty part find nothing.
 */
export async function idsByKey(
  db: Knex,
  ctx: CallContext,
  objectName: string,
  fieldNames: readonly string[],
  keys: readonly (readonly unknown[])[],
): Promise<ReadonlyMap<string, string>> {
  const source = openSource(ctx, objectName);
  const fields = fieldNames.map((name) => readableField(source, name, 'key'));
  const complete = keys.filter((key) => key.every((value) => value !== null && value !== undefined));
  if (complete.length === 0) return new Map();
  const columns = joinSql(fields.map((field) => fieldSql(source, field)));
  const lists = joinSql(
    fields.map(
      (field, index) => sql`${complete.map((key) => FIELD_TYPES[field.kind].bind(key[index]))}::${keyword(FIELD_TYPES[field.kind].column?.cast ?? 'text')}[]`,
    ),
  );
  const values = joinSql(fields.map((field, index) => sql`${fieldSql(source, field)}::text as ${keyword(`k${String(index)}`)}`));
  const found = await rows(
    db,
    sql`select ${keyword(`"${source.alias}"."id"`)} as id, ${values} from ${source.from}${whereSql(source, [sql`(${columns}) in (select * from unnest(${lists}))`])}`,
  );
  return new Map(found.map((row) => [keyText(fields.map((_, index) => row[`k${String(index)}`])), String(row['id'])]));
}
