import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Knex } from 'knex';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { startEmbedded } from '../../src/cli/embedded-postgres.ts';
import { readConfig } from '../../src/cli/open-app.ts';
import { makeApp } from '../../src/main.ts';
import { inTransaction, openDb } from '../../src/platform/db.ts';
import { addUser } from '../../src/platform/identity/users.ts';
import type { Model, ObjectModel } from '../../src/platform/model/types.ts';
import { indexBacklog } from '../../src/platform/record/search-backlog.sql.ts';
import { fillSight, makeSightViews, SIGHT_PACKAGE, SIGHT_SETS } from './sight.ts';
import { ident, joinSql, rows, run, sql } from '../../src/platform/sql.ts';

export const SCHEMA = 'credenza';
/** So many batches of search entries are made at once. */
const INDEXERS = 4;
const SYSTEM_COLUMNS = ['id', 'version', 'created_at', 'created_by', 'updated_at', 'updated_by', 'owner_id'];

/** The database of a run: the product's tables, and the limit's with the same columns and indexes in the schema `bench`. */
export interface BenchDatabase {
  readonly url: string;
  readonly db: Knex;
  /** Directory for files of this run. */
  readonly directory: string;
  /** Physical table of an object of the product. */
  readonly table: (object: string) => string;
  readonly limitColumns: readonly string[];
  /** API token of somebody who is no administrator: the product's rights are in force. */
  readonly token: string;
  /** Of somebody who sees one provider in a hundred. */
  readonly sight: { readonly userId: string; readonly token: string };
  /** Makes the search entries of imported records, which the worker makes otherwise. */
  readonly indexSearch: () => Promise<void>;
  /** Gives that caller the providers that are seen; once the providers are there. */
  readonly fillSight: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Makes the database of a run (or takes the one that was kept), with both sets of tables. */
export async function openBenchDatabase(name: string, keep: boolean): Promise<BenchDatabase> {
  const directory = mkdtempSync(join(tmpdir(), 'credenza-bench-'));
  const given = process.env['TEST_DATABASE_URL'];
  const server = given === undefined || given === '' ? await startEmbedded({ directory, role: 'server', durable: true, say: () => undefined }) : null;
  const serverUrl = server?.url ?? given ?? '';
  const drop = async (): Promise<void> => {
    await withPool(serverUrl, (db) => run(db, sql`drop database if exists ${ident(name)} with (force)`));
  };
  const isThere = await withPool(serverUrl, (db) => rows(db, sql`select 1 from pg_database where datname = ${name}`));
  if (!keep || isThere.length === 0) {
    await drop();
    await withPool(serverUrl, (db) => run(db, sql`create database ${ident(name)}`));
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const { model, caller, sight } = await prepareProduct(url.href);
  const { objects } = model;
  const db = openDb({ url: url.href, schema: SCHEMA, poolSize: INDEXERS, statementTimeoutMs: 1_800_000 });
  const object = (objectName: string): ObjectModel => {
    const found = objects.get(objectName);
    if (found === undefined) throw new Error(`The shipped metadata has no ${objectName}.`);
    return found;
  };
  const isMade = await rows(db, sql`select 1 from pg_namespace where nspname = 'bench'`);
  if (isMade.length === 0) {
    await run(db, sql`create schema bench`);
    for (const objectName of ['Provider', 'Visit']) await makeLimitTable(db, object(objectName));
    const zip = object('ZipCode');
    const county = zip.fields.get('county')?.column ?? '';
    await run(db, sql`create view bench.zip_code as select id, deleted_at, ${ident(county)} as county from ${ident(SCHEMA, zip.table)}`);
    await run(
      db,
      sql`create table bench.history (record_id uuid, version int, at timestamptz not null, changes jsonb not null, primary key (record_id, version))`,
    );
    await makeSightViews(db, SCHEMA, objects);
    await run(db, sql`create table bench.provider_name (id uuid primary key, name text not null, keys text not null)`);
    await run(db, sql`create index provider_name_keys on bench.provider_name using gin (keys public.gin_trgm_ops)`);
    await run(
      db,
      sql`create table bench.outbox (id bigint generated always as identity primary key, record_id uuid not null, kind text not null, body jsonb not null)`,
    );
  }
  return {
    url: url.href,
    db,
    directory,
    table: (objectName) => object(objectName).table,
    limitColumns: [...SYSTEM_COLUMNS, ...storedFields(object('Provider')).map(([name]) => name)],
    token: caller.token,
    sight,
    indexSearch: async () => {
      // A batch each, as several workers do.
      const work = async (): Promise<void> => {
        while ((await indexBacklog(db, model)) > 0);
      };
      await Promise.all(Array.from({ length: INDEXERS }, work));
    },
    fillSight: () => fillSight(db, SCHEMA, objects, sight.userId),
    close: async () => {
      await db.destroy();
      if (!keep || server !== null) await drop();
      await server?.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function withPool<T>(url: string, work: (db: Knex) => Promise<T>): Promise<T> {
  const db = openDb({ url, schema: SCHEMA, poolSize: 1, statementTimeoutMs: 60_000 });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

interface Caller {
  readonly userId: string;
  readonly token: string;
}

/** Applies the shipped metadata with teams and shares laid over it, and makes the callers of the benchmark. */
async function prepareProduct(url: string): Promise<{ readonly model: Model; readonly caller: Caller; readonly sight: Caller }> {
  const app = makeApp({ ...readConfig(process.env), databaseUrl: url, schema: SCHEMA, logLevel: 'warn', packages: [SIGHT_PACKAGE] });
  try {
    await app.prepare();
    const model = await app.store.load();
    const known = new Set(model.permissions.keys());
    const add = (role: string, permissionSets: readonly string[]): Promise<Caller> =>
      inTransaction(app.db, async (tx) => {
        const name = `bench-${role}-${String(app.clock.nowMs())}`;
        const account = { email: `${name}@plan.example`, name, permissionSets, password: `${name}-${name}` };
        const { user } = await addUser(tx, { clock: app.clock }, account, known, 'system:bench');
        return { userId: user.id, token: (await app.signIn.createToken(tx, user.id, 'bench', null)).token };
      });
    return { model, caller: await add('all', ['network']), sight: await add('sight', SIGHT_SETS) };
  } finally {
    await app.stop();
  }
}

function storedFields(object: ObjectModel): readonly (readonly [string, string])[] {
  return [...object.fields.values()].flatMap((field) => (field.system || field.column === null ? [] : [[field.name, field.column] as const]));
}

/** The limit's table: the same columns, indexes and rows; only the names are plain. */
async function makeLimitTable(db: Knex, object: ObjectModel): Promise<void> {
  const table = ident('bench', object.name.toLowerCase());
  await run(db, sql`create table ${table} (like ${ident(SCHEMA, object.table)} including all)`);
  for (const [name, column] of storedFields(object)) await run(db, sql`alter table ${table} rename column ${ident(column)} to ${ident(name)}`);
}

/** Writes the rows that the limit's table does not hold yet to a file, for COPY. Answers their number. */
export async function exportNewRows(database: BenchDatabase, object: string, file: string): Promise<number> {
  const from = ident(SCHEMA, database.table(object));
  const limit = ident('bench', object.toLowerCase());
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const statement = sql`copy (select t.* from ${from} t where not exists (select from ${limit} l where l.id = t.id)) to stdout`;
    const source = client.query(copyTo(statement.text));
    await pipeline(source, createWriteStream(file));
    return source.rowCount;
  } finally {
    await client.end();
  }
}

/** Fills the one trigram column that a search is compared with. */
export async function fillNames(database: BenchDatabase): Promise<void> {
  await run(database.db, sql`insert into bench.provider_name select id, name, lower(name) from bench.provider`);
}

/** Cleans up and counts anew, so that every measurement starts from the same state. */
export async function vacuum(database: BenchDatabase): Promise<void> {
  const tables = [
    ident(SCHEMA, database.table('Provider')),
    ...['Visit', 'BenchAssignment', 'BenchMember', 'BenchShare'].map((name) => ident(SCHEMA, database.table(name))),
    ...['search_entry', 'event', 'record_history', 'audit_entry'].map((name) => ident(SCHEMA, name)),
    ...['provider', 'visit', 'history', 'outbox', 'provider_name'].map((name) => ident('bench', name)),
  ];
  await run(database.db, sql`vacuum (analyze) ${joinSql(tables)}`);
}

const SHOWN = [
  'server_version',
  'shared_buffers',
  'work_mem',
  'effective_cache_size',
  'max_wal_size',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'jit',
];

/** The settings that matter for the figures. */
export async function settingsOf(database: BenchDatabase): Promise<string> {
  const found = await rows(database.db, sql`select name, current_setting(name) as value from pg_settings where name = any(${SHOWN})`);
  return found.map((row) => `${String(row['name'])}=${String(row['value'])}`).join(', ');
}
