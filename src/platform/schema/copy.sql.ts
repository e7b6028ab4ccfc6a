import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import { ident, joinSql, keyword, rows, run, sql } from '../sql.ts';

/** Rows that belong to running processes and mean nothing in a copy. */
const NOT_COPIED = new Set(['lease', 'process', 'idempotency_key', 'session', 'sign_in_attempt']);

/**
 * Copies a tenant's schema, tables and rows, into a new schema of the same database, as of one moment. Other processes
 * go on meanwhile. `settings` stand in the copy before anybody can see it. Writes. @throws AppError conflict_state when the target exists
 */
export async function copySchema(db: Knex, from: string, to: string, settings: Readonly<Record<string, unknown>>): Promise<void> {
  await db.transaction(
    async (tx) => {
      await run(tx, sql`set local statement_timeout to 0`);
      const existing = await rows(tx, sql`select 1 from pg_namespace where nspname = ${to}`);
      if (existing.length > 0) throw new AppError('conflict_state', `The schema ${to} exists already.`);
      await run(tx, sql`create schema ${ident(to)}`);
      const tables = await rows(
        tx,
        sql`select c.relname as name, c.relkind as kind, case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end as partitioned,
              p.relname as parent, case when c.relispartition then pg_get_expr(c.relpartbound, c.oid) end as bound
            from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
            where n.nspname = ${from} and c.relkind in ('r', 'p') order by c.relispartition, c.relname`,
      );
      for (const table of tables) await copyTable(tx, from, to, table);
      for (const table of tables) if (table['kind'] === 'r') await copyRows(tx, from, to, String(table['name']));
      await copyIdentities(tx, to);
      await copyConstraints(tx, from, to, ['p', 'u', 'x']);
      await copyIndexes(tx, from, to);
      await copyConstraints(tx, from, to, ['f']);
      for (const [key, value] of Object.entries(settings)) {
        await run(
          tx,
          sql`insert into ${ident(to, 'setting')} (key, value) values (${key}, ${JSON.stringify(value)}::jsonb) on conflict (key) do update set value = excluded.value`,
        );
      }
    },
    { isolationLevel: 'repeatable read' },
  );
}

type DbRow = Readonly<Record<string, unknown>>;

async function copyTable(tx: Knex.Transaction, from: string, to: string, table: DbRow): Promise<void> {
  const name = String(table['name']);
  const target = ident(to, name);
  if (typeof table['parent'] === 'string') {
    await run(tx, sql`create table ${target} partition of ${ident(to, table['parent'])} ${keyword(String(table['bound']))}`);
    return;
  }
  const partition = table['partitioned'] === null ? keyword('') : keyword(` partition by ${String(table['partitioned'])}`);
  await run(tx, sql`create table ${target} (like ${ident(from, name)} including all excluding indexes)${partition}`);
}

async function copyRows(tx: Knex.Transaction, from: string, to: string, name: string): Promise<void> {
  if (NOT_COPIED.has(name)) return;
  const found = await rows(
    tx,
    sql`select attname from pg_attribute where attrelid = ${`${from}."${name}"`}::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
  );
  const columns = joinSql(found.map((row) => ident(String(row['attname']))));
  await run(tx, sql`insert into ${ident(to, name)} (${columns}) overriding system value select ${columns} from ${ident(from, name)}`);
}

/** Counters of identity columns go on after the highest copied value. */
async function copyIdentities(tx: Knex.Transaction, to: string): Promise<void> {
  const found = await rows(
    tx,
    sql`select c.relname as name, a.attname as column_name, pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) as sequence
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${to} and a.attidentity <> '' and not c.relispartition`,
  );
  for (const row of found) {
    const column = ident(String(row['column_name']));
    await run(tx, sql`select setval(${String(row['sequence'])}::regclass, coalesce(max(${column}), 0) + 1, false) from ${ident(to, String(row['name']))}`);
  }
}

/** Constraint definitions name other tables without schema while it is on the search path: so they fit the copy as they are. */
async function copyConstraints(tx: Knex.Transaction, from: string, to: string, kinds: readonly string[]): Promise<void> {
  await run(tx, sql`set local search_path to ${ident(from)}, public`);
  const found = await rows(
    tx,
    sql`select c.relname as name, k.conname as constraint_name, pg_get_constraintdef(k.oid) as definition
        from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${from} and k.contype::text = any(${kinds}::text[]) and k.conparentid = 0 order by c.relname, k.conname`,
  );
  await run(tx, sql`set local search_path to ${ident(to)}, public`);
  for (const row of found) {
    await run(
      tx,
      sql`alter table ${ident(to, String(row['name']))} add constraint ${ident(String(row['constraint_name']))} ${keyword(String(row['definition']))}`,
    );
  }
}

async function copyIndexes(tx: Knex.Transaction, from: string, to: string): Promise<void> {
  const found = await rows(
    tx,
    sql`select pg_get_indexdef(i.indexrelid) as definition, quote_ident(n.nspname) as schema from pg_index i join pg_class c on c.oid = i.indexrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${from} and i.indisvalid and not c.relispartition
          and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')) order by c.relname`,
  );
  for (const row of found) {
    const definition = String(row['definition'])
      .replace(` ON ${String(row['schema'])}.`, ` ON ${ident(to).text}.`)
      .replace(` ON ONLY ${String(row['schema'])}.`, ` ON ${ident(to).text}.`);
    await run(tx, keyword(definition.replaceAll('?', '\\?')));
  }
}

/** Schemas whose name begins with this, in order. */
export async function schemasNamed(db: Knex, prefix: string): Promise<readonly string[]> {
  const found = await rows(db, sql`select nspname from pg_namespace where starts_with(nspname, ${prefix}) order by nspname`);
  return found.map((row) => String(row['nspname']));
}

/** Removes a schema with all it holds. */
export async function dropSchema(db: Knex, name: string): Promise<void> {
  await run(db, sql`drop schema ${ident(name)} cascade`);
}
