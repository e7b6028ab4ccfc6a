import type { Knex } from 'knex';
import type { Model } from '../../../src/platform/model/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';

/**
 * The tables of a Model as they stand in the database, in words that do not depend on physical names: columns with their
 * types, indexes and constraints with their definitions. What the database keeps of earlier versions is left out.
 */
export async function liveTables(db: Knex, model: Model): Promise<readonly string[]> {
  const words = new Map<string, string>();
  for (const object of model.objects.values()) {
    words.set(object.table, object.builtin ? object.table : `<${object.id}>`);
    for (const field of object.fields.values()) {
      if (field.system || object.builtin) continue;
      for (const [column, suffix] of [
        [field.column, ''],
        [field.sortColumn, ' sort'],
        [field.objectColumn, ' object'],
      ] as const)
        if (column !== null) words.set(column, `<${field.id}${suffix}>`);
    }
  }
  const plain = (text: string): string => text.replaceAll(/[a-z][a-z0-9_]*/g, (word) => words.get(word) ?? word);
  const found: string[] = [];
  for (const object of model.objects.values()) {
    if (object.builtin) continue;
    const table = `${model.schema}.${object.table}`;
    const columns = await rows(
      db,
      sql`select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as filled, pg_get_expr(d.adbin, d.adrelid) as fallback
          from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
          where a.attrelid = ${table}::regclass and a.attnum > 0 and not a.attisdropped`,
    );
    const known = new Set([...words.keys(), 'id', 'version', 'created_at', 'created_by', 'updated_at', 'updated_by', 'owner_id', 'record_type', 'deleted_at']);
    for (const row of columns)
      if (known.has(String(row['name'])))
        found.push(`${object.id} column ${plain(String(row['name']))} ${String(row['type'])} ${String(row['filled'])} ${String(row['fallback'])}`);
    const indexes = await rows(
      db,
      sql`select pg_get_indexdef(x.indexrelid) as definition, x.indisvalid as valid from pg_index x where x.indrelid = ${table}::regclass`,
    );
    for (const row of indexes) found.push(`${object.id} index ${plain(String(row['definition']).replace(/INDEX \S+ ON/, 'INDEX ON'))} ${String(row['valid'])}`);
    const constraints = await rows(
      db,
      sql`select pg_get_constraintdef(oid) as definition, convalidated as valid from pg_constraint where conrelid = ${table}::regclass and contype <> 'n'`,
    );
    for (const row of constraints) found.push(`${object.id} constraint ${plain(String(row['definition']))} ${String(row['valid'])}`);
  }
  return found.sort();
}
