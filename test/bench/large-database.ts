import type { Knex } from 'knex';
import { readConfig } from '../../src/cli/open-app.ts';
import { makeApp, type App } from '../../src/main.ts';
import { inTransaction, openDb } from '../../src/platform/db.ts';
import { addUser } from '../../src/platform/identity/users.ts';
import type { Model, ObjectModel } from '../../src/platform/model/types.ts';
import { ident, joinSql, keyword, rows, run, sql, type Sql } from '../../src/platform/sql.ts';
import { startServer } from './child.ts';

export const SCHEMA = 'credenza';
export const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** A database with very many records, and the product serving it in a process of its own. */
export interface LargeDatabase {
  readonly db: Knex;
  readonly app: App;
  readonly model: Model;
  readonly url: string;
  /** API token of somebody with the permission sets asked for. */
  readonly token: string;
}

/**
 * Makes the database, has it filled, starts the product on it and hands both over; drops it afterwards. A database that
 * `LARGE_DATABASE` names is kept, and taken as it is where it is there already.
 */
export async function withLargeDatabase(
  permissionSets: readonly string[],
  fill: (db: Knex, model: Model) => Promise<void>,
  work: (large: LargeDatabase) => Promise<void>,
): Promise<void> {
  const serverUrl = process.env['TEST_DATABASE_URL'];
  if (serverUrl === undefined) throw new Error('Set TEST_DATABASE_URL.');
  const kept = process.env['LARGE_DATABASE'];
  const name = kept ?? `credenza_large_${String(process.pid)}`;
  const admin = openDb({ url: serverUrl, schema: 'public', poolSize: 1, statementTimeoutMs: 600_000 });
  const isThere = (await rows(admin, sql`select from pg_database where datname = ${name}`)).length > 0;
  if (!isThere) await run(admin, sql`create database ${ident(name)}`);
  const target = new URL(serverUrl);
  target.pathname = `/${name}`;
  try {
    await workOn(target.href, permissionSets, isThere ? null : fill, work);
  } finally {
    if (kept === undefined) await run(admin, sql`drop database ${ident(name)} with (force)`);
    await admin.destroy();
  }
}

async function workOn(
  url: string,
  permissionSets: readonly string[],
  fill: ((db: Knex, model: Model) => Promise<void>) | null,
  work: (large: LargeDatabase) => Promise<void>,
): Promise<void> {
  const app = makeApp({ ...readConfig(process.env), databaseUrl: url, schema: SCHEMA, logLevel: 'warn' });
  const db = openDb({ url, schema: SCHEMA, poolSize: 1, statementTimeoutMs: 3_600_000 });
  try {
    await app.prepare();
    const model = await app.store.load();
    const token = await inTransaction(app.db, async (tx) => {
      const account = { email: `large-${String(process.pid)}@plan.example`, name: 'Large', permissionSets, password: 'a long password of the large one' };
      const { user } = await addUser(tx, { clock: app.clock }, account, new Set(['administrator', ...model.permissions.keys()]), 'system:bench');
      return (await app.signIn.createToken(tx, user.id, 'large', null)).token;
    });
    const from = performance.now();
    await fill?.(db, model);
    const [size] = await rows(db, sql`select pg_size_pretty(pg_database_size(current_database())) as size`);
    say(`filled in ${((performance.now() - from) / 1000).toFixed(0)} s, ${String(size?.['size'])}`);
    const server = await startServer(
      'app-server',
      { DATABASE_URL: url, DATABASE_SCHEMA: SCHEMA, DATABASE_POOL: '10', PORT: '0', HOST: '127.0.0.1', LOG_LEVEL: 'warn', SMTP_LISTEN_PORT: '' },
      null,
    );
    try {
      await work({ db, app, model, url: server.url, token });
    } finally {
      await server.stop();
    }
  } finally {
    await db.destroy();
    await app.stop();
  }
}

export function objectOf(model: Model, name: string): ObjectModel {
  const found = model.objects.get(name);
  if (found === undefined) throw new Error(`The shipped metadata has no ${name}.`);
  return found;
}

/**
 * Fills the table of an object with the records numbered 1 to `count` by one statement, values by field as SQL over `n`; the
 * texts are plain ASCII, whose sort key is the text in lower case. Indexes are made afterwards. The search entries are those that the product makes.
 */
export async function fillObject(
  db: Knex,
  object: ObjectModel,
  count: number,
  values: Readonly<Record<string, Sql>>,
  life: { readonly created: Sql; readonly updated: Sql; readonly version: number } = { created: sql`now()`, updated: sql`now()`, version: 1 },
): Promise<void> {
  const columns: Sql[] = [];
  const expressions: Sql[] = [];
  for (const [name, value] of Object.entries(values)) {
    const field = object.fields.get(name);
    if (field?.column === null || field === undefined) throw new Error(`${object.name} has no column for ${name}.`);
    columns.push(ident(field.column));
    expressions.push(value);
    if (field.sortColumn === null) continue;
    columns.push(ident(field.sortColumn));
    expressions.push(sql`lower(${value})`);
  }
  const table = ident(SCHEMA, object.table);
  await withoutIndexes(db, object.table, async () => {
    await run(
      db,
      sql`insert into ${table} (id, version, created_at, created_by, updated_at, updated_by, ${joinSql(columns)})
          select ${idOf()}, ${life.version}::int, ${life.created}, 'bench', ${life.updated}, 'bench', ${joinSql(expressions)} from generate_series(1, ${count}) as n`,
    );
  });
  const searched = [...object.fields.values()].flatMap((field) => (field.searchable && values[field.name] !== undefined ? [values[field.name]] : []));
  if (searched.length > 0) {
    const keys = sql`lower(concat_ws(' ', ${joinSql(searched.flatMap((value) => value ?? []))}))`;
    await withoutIndexes(db, 'search_entry', async () => {
      await run(
        db,
        sql`insert into ${ident(SCHEMA, 'search_entry')} (object, record_id, class, keys)
            select ${object.name}, ${idOf()}, 'open', ${keys} from generate_series(1, ${count}) as n`,
      );
    });
  }
  for (const name of [object.table, 'search_entry']) await run(db, sql`vacuum (analyze) ${ident(SCHEMA, name)}`);
}

/** The id of record `n`: any order but that of the numbers. */
export const idOf = (n: Sql = sql`n`): Sql => sql`md5('record ' || ${n})::uuid`;

/** Drops the indexes of a table that stand for no constraint, works, and makes them again. */
export async function withoutIndexes(db: Knex, table: string, work: () => Promise<void>): Promise<void> {
  const found = await rows(
    db,
    sql`select c.relname as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i join pg_class c on c.oid = i.indexrelid
        where i.indrelid = ${`${SCHEMA}.${table}`}::regclass and not exists (select from pg_constraint k where k.conindid = i.indexrelid) order by 1`,
  );
  for (const index of found) await run(db, sql`drop index ${ident(SCHEMA, String(index['name']))}`);
  await work();
  await run(db, sql`set maintenance_work_mem = '1GB'`);
  // PostgreSQL's own text of the index, as it gave it above; of a partitioned table it means the parts too.
  for (const index of found) await run(db, sql`${keyword(String(index['definition']).replace(' ON ONLY ', ' ON '))}`);
}

/** Sends the requests one after the other, once each, and answers how long each took, shortest first. @throws Error when one is refused */
export async function timeRequests({ url, token }: LargeDatabase, paths: readonly string[]): Promise<readonly number[]> {
  const times: number[] = [];
  for (const path of paths) {
    const start = performance.now();
    const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const text = await answer.text();
    times.push(performance.now() - start);
    if (!answer.ok) throw new Error(`${path}: ${text.slice(0, 300)}`);
  }
  return times.sort((left, right) => left - right);
}

/** The time that this share of the requests did not exceed, in ms. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export function describeTimes(name: string, sorted: readonly number[]): string {
  const at = (share: number): string => `${percentile(sorted, share).toFixed(1)} ms`;
  return `${name}: ${String(sorted.length)} requests, p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, longest ${at(1)}`;
}
