import type { Knex } from 'knex';
import type { PhysicalName, PhysicalNames } from '../model/physical.ts';
import { ident, joinSql, platformTable, rows, run, schemaOf, sql } from '../sql.ts';
import type { Catalogue } from './types.ts';

/** Reads tables, columns, indexes and foreign keys of the tenant's schema; looks for rows in the tables named. */
export async function readCatalogue(db: Knex, objectTables: Iterable<string>): Promise<Catalogue> {
  const schema = schemaOf(db);
  const columns = await rows(
    db,
    sql`select c.relname as table_name, a.attname as column_name
        from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = ${schema}::regnamespace and c.relkind in ('r', 'p')`,
  );
  const indexes = await rows(
    db,
    sql`select i.relname as name, t.relname as table_name, x.indisvalid as is_valid
        from pg_catalog.pg_index x join pg_catalog.pg_class i on i.oid = x.indexrelid join pg_catalog.pg_class t on t.oid = x.indrelid
        where i.relnamespace = ${schema}::regnamespace`,
  );
  const keys = await rows(
    db,
    sql`select k.conname as name, t.relname as table_name, k.convalidated as is_valid
        from pg_catalog.pg_constraint k join pg_catalog.pg_class t on t.oid = k.conrelid
        where k.contype = 'f' and t.relnamespace = ${schema}::regnamespace`,
  );
  const tables = new Map<string, Set<string>>();
  for (const row of columns) {
    const table = text(row['table_name']);
    const known = tables.get(table) ?? new Set<string>();
    tables.set(table, known.add(text(row['column_name'])));
  }
  const filled = await filledTables(
    db,
    [...objectTables].filter((table) => tables.has(table)),
  );
  return { tables, indexes: byName(indexes), foreignKeys: byName(keys), filled };
}

async function filledTables(db: Knex, tables: readonly string[]): Promise<ReadonlySet<string>> {
  if (tables.length === 0) return new Set();
  const parts = tables.map((table) => sql`select ${table}::text as name where exists (select 1 from ${ident(schemaOf(db), table)})`);
  return new Set((await rows(db, joinSql(parts, ' union all '))).map((row) => text(row['name'])));
}

function byName(found: readonly Record<string, unknown>[]): ReadonlyMap<string, { readonly table: string; readonly isValid: boolean }> {
  return new Map(found.map((row) => [text(row['name']), { table: text(row['table_name']), isValid: row['is_valid'] === true }]));
}

/** The physical names given so far, by id. */
export async function readPhysicalNames(db: Knex): Promise<PhysicalNames> {
  const found = await rows(db, sql`select id, kind, object_id, name, physical, sort_physical, shape from ${platformTable(db, 'physical_name')}`);
  return new Map(
    found.map((row): [string, PhysicalName] => [
      text(row['id']),
      {
        id: text(row['id']),
        kind: row['kind'] === 'object' ? 'object' : 'field',
        objectId: optional(row['object_id']),
        name: text(row['name']),
        physical: text(row['physical']),
        sortPhysical: optional(row['sort_physical']),
        shape: optional(row['shape']),
      },
    ]),
  );
}

/** Records physical names; of known ones only the name in metadata and what is stored may change. Writes. */
export async function writePhysicalNames(tx: Knex.Transaction, names: readonly PhysicalName[]): Promise<void> {
  if (names.length === 0) return;
  const content = names.map((entry) => ({
    id: entry.id,
    kind: entry.kind,
    object_id: entry.objectId,
    name: entry.name,
    physical: entry.physical,
    sort_physical: entry.sortPhysical,
    shape: entry.shape,
  }));
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'physical_name')} (id, kind, object_id, name, physical, sort_physical, shape)
        select id, kind, object_id, name, physical, sort_physical, shape
        from jsonb_to_recordset(${JSON.stringify(content)}::jsonb) as n (id text, kind text, object_id text, name text, physical text, sort_physical text, shape text)
        on conflict (id) do update set name = excluded.name, sort_physical = excluded.sort_physical, shape = excluded.shape`,
  );
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}

function optional(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
