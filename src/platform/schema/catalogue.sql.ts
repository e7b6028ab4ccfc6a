import type { Knex } from 'knex';
import { ident, joinSql, rows, schemaOf, sql } from '../sql.ts';
import type { Catalogue, LiveColumn, LiveConstraint, LiveIndex } from './types.ts';

/** Reads tables, columns, indexes, constraints and triggers of the tenant's schema; looks for rows in the tables named. */
export async function readCatalogue(db: Knex, objectTables: Iterable<string>): Promise<Catalogue> {
  const schema = schemaOf(db);
  const columns = await rows(
    db,
    sql`select c.relname as table_name, a.attname as column_name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type, a.atthasdef as has_default, c.relnatts as columns_ever
        from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = ${schema}::regnamespace and c.relkind in ('r', 'p')`,
  );
  const tables = new Map<string, Map<string, LiveColumn>>();
  const columnsEver = new Map<string, number>();
  for (const row of columns) {
    const table = text(row['table_name']);
    const known = tables.get(table) ?? new Map<string, LiveColumn>();
    tables.set(table, known.set(text(row['column_name']), { type: text(row['type']), hasDefault: row['has_default'] === true }));
    columnsEver.set(table, Number(row['columns_ever']));
  }
  const named = [...new Set(objectTables)].filter((table) => tables.has(table));
  return {
    tables,
    columnsEver,
    indexes: await readIndexes(db, schema),
    constraints: await readConstraints(db, schema),
    triggers: await readTriggers(db, schema),
    filled: await filledTables(db, named),
    extensions: await readExtensions(db),
  };
}

const EXTENSIONS = ['btree_gist'] as const;

/** Extensions that objects may need, with what stands in the way of using each. */
async function readExtensions(db: Knex): Promise<ReadonlyMap<string, string | null>> {
  const found = await rows(
    db,
    sql`select w.name, a.name is not null as is_available, e.oid is not null as is_installed, pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create
        from unnest(${[...EXTENSIONS]}::text[]) as w(name) left join pg_catalog.pg_available_extensions a on a.name = w.name left join pg_catalog.pg_extension e on e.extname = w.name`,
  );
  return new Map(
    found.map((row) => {
      const isMissing = row['is_available'] !== true ? 'the server does not have it' : row['may_create'] === true ? null : 'this account may not create it';
      return [text(row['name']), row['is_installed'] === true ? null : isMissing];
    }),
  );
}

async function readIndexes(db: Knex, schema: string): Promise<ReadonlyMap<string, LiveIndex>> {
  const found = await rows(
    db,
    sql`select i.relname as name, t.relname as table_name, x.indisvalid as is_valid, x.indisunique as is_unique, exists (select from pg_catalog.pg_constraint k where k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x')) as is_of_constraint
        from pg_catalog.pg_index x join pg_catalog.pg_class i on i.oid = x.indexrelid join pg_catalog.pg_class t on t.oid = x.indrelid
        where i.relnamespace = ${schema}::regnamespace`,
  );
  return new Map(
    found.map((row) => [
      text(row['name']),
      {
        table: text(row['table_name']),
        isValid: row['is_valid'] === true,
        isUnique: row['is_unique'] === true,
        isOfConstraint: row['is_of_constraint'] === true,
      },
    ]),
  );
}

const CONSTRAINT_KINDS: Readonly<Record<string, LiveConstraint['kind']>> = { f: 'foreignKey', c: 'check', x: 'exclusion' };

async function readConstraints(db: Knex, schema: string): Promise<ReadonlyMap<string, LiveConstraint>> {
  const found = await rows(
    db,
    sql`select k.conname as name, t.relname as table_name, k.convalidated as is_valid, k.contype as kind
        from pg_catalog.pg_constraint k join pg_catalog.pg_class t on t.oid = k.conrelid
        where k.contype in ('f', 'c', 'x') and t.relnamespace = ${schema}::regnamespace`,
  );
  return new Map(
    found.map((row) => [
      `${text(row['table_name'])}.${text(row['name'])}`,
      { table: text(row['table_name']), isValid: row['is_valid'] === true, kind: CONSTRAINT_KINDS[text(row['kind'])] ?? 'check' },
    ]),
  );
}

async function readTriggers(db: Knex, schema: string): Promise<ReadonlySet<string>> {
  const found = await rows(
    db,
    sql`select t.relname as table_name, g.tgname as name from pg_catalog.pg_trigger g join pg_catalog.pg_class t on t.oid = g.tgrelid
        where not g.tgisinternal and t.relnamespace = ${schema}::regnamespace`,
  );
  return new Set(found.map((row) => `${text(row['table_name'])}.${text(row['name'])}`));
}

const COUNTED_BYTES = 8 * 1024 * 1024;

/** Tables with rows and about how many: small tables are counted, large ones known by their statistics or their size. */
async function filledTables(db: Knex, tables: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (tables.length === 0) return new Map();
  const schema = schemaOf(db);
  const parts = tables.map((table) => sql`select ${table}::text as name where exists (select 1 from ${ident(schema, table)})`);
  const filled = (await rows(db, joinSql(parts, ' union all '))).map((row) => text(row['name']));
  const found = await rows(
    db,
    sql`select relname as name, pg_catalog.pg_relation_size(oid) <= ${COUNTED_BYTES} as is_small,
          case when reltuples > 0 then reltuples::bigint else greatest(1, pg_catalog.pg_relation_size(oid) / 400) end as estimate
        from pg_catalog.pg_class where relnamespace = ${schema}::regnamespace and relname = any(${filled}::text[])`,
  );
  const estimates = new Map(found.map((row) => [text(row['name']), Number(row['estimate'])]));
  const small = found.filter((row) => row['is_small'] === true).map((row) => text(row['name']));
  if (small.length === 0) return estimates;
  const counts = small.map((table) => sql`select ${table}::text as name, count(*) as count from ${ident(schema, table)}`);
  for (const row of await rows(db, joinSql(counts, ' union all '))) estimates.set(text(row['name']), Math.max(1, Number(row['count'])));
  return estimates;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}
