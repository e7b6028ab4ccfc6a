import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { releaseIfUnused, startEmbedded } from '../../src/cli/embedded-postgres.ts';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openDb } from '../../src/platform/db.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { migratePlatform } from '../../src/platform/schema/migrate.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { ident, rows, run, sql } from '../../src/platform/sql.ts';

/** A database of one test file's own. Call `drop` in `after`. */
export interface TestDatabase {
  readonly db: Knex;
  readonly url: string;
  readonly drop: () => Promise<void>;
}

/** The schema every test database keeps its tables in. */
export const TEST_SCHEMA = 'credenza';

const prefix = `credenza_test_${String(process.pid)}_${randomBytes(3).toString('hex')}_`;
const open = new Map<string, Knex>();
let counter = 0;
const SERVER_FOLDER = 'credenza-test-server-';
let server: Promise<string> | null = null;
let embedded: { readonly directory: string; readonly stop: () => Promise<void> } | null = null;
let emptyTemplate: Promise<string> | null = null;
let shippedTemplate: Promise<string> | null = null;

/** A new, empty database whose only content is the platform's own tables; cloned from a template made once a run. */
export async function makeTestDatabase(options: { readonly poolSize?: number } = {}): Promise<TestDatabase> {
  emptyTemplate ??= makeTemplate('template', (db) => migratePlatform(db).then(() => undefined));
  return clone(await emptyTemplate, options.poolSize ?? 10);
}

/** As `makeTestDatabase`, with the shipped metadata applied. Make the Model's store with `EXTENSIONS` of `src/extensions.ts`. */
export async function makeShippedDatabase(options: { readonly poolSize?: number } = {}): Promise<TestDatabase> {
  return clone(await shipped(), options.poolSize ?? 10);
}

/** A state of a database that many tests begin at. */
export interface PreparedDatabase {
  readonly clone: (poolSize: number) => Promise<TestDatabase>;
  /** A further state, filled on top of this one. */
  readonly further: (name: string, fill: (db: Knex, url: string) => Promise<void>) => Promise<PreparedDatabase>;
}

/** Fills a shipped database once, for tests that begin at the same state many times. */
export async function prepareShippedDatabase(name: string, fill: (db: Knex, url: string) => Promise<void>): Promise<PreparedDatabase> {
  return prepare(name, fill, await shipped());
}

async function prepare(name: string, fill: (db: Knex, url: string) => Promise<void>, from: string): Promise<PreparedDatabase> {
  const template = await makeTemplate(name, fill, from);
  return { clone: (poolSize) => clone(template, poolSize), further: (next, fillNext) => prepare(next, fillNext, template) };
}

function shipped(): Promise<string> {
  shippedTemplate ??= makeTemplate('shipped', async (db) => {
    await migratePlatform(db);
    await makeModelStore({ db, clock: systemClock, extensions: EXTENSIONS }).apply(loadMetadata(metadataDirectories([])), 'system:test');
  });
  return shippedTemplate;
}

/** A new database with nothing in it, not even the platform's schema. */
export async function makeBlankDatabase(): Promise<TestDatabase> {
  return clone('template1', 10);
}

/** Address of the maintenance database of the server that tests use. */
export function testServerUrl(): Promise<string> {
  server ??= findServer().then(async (url) => {
    await sweep(url);
    return url;
  });
  return server;
}

/** Drops what runs left that were killed: their process is gone. Only on this machine's own server. */
async function sweep(url: string): Promise<void> {
  if (!['127.0.0.1', 'localhost'].includes(new URL(url).hostname)) return;
  const db = openTestPool(url, { poolSize: 1 });
  try {
    const found = await rows(db, sql`select datname from pg_database where starts_with(datname, 'credenza_test_')`);
    for (const row of found) {
      const pid = Number(/^credenza_test_(\d+)_/.exec(String(row['datname']))?.[1]);
      if (!isRunning(pid)) await run(db, sql`drop database if exists ${ident(String(row['datname']))} with (force)`);
    }
  } finally {
    await db.destroy();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

async function findServer(): Promise<string> {
  const url = process.env['TEST_DATABASE_URL'];
  if (url !== undefined && url !== '') return url;
  await removeDeadServers();
  const directory = mkdtempSync(join(tmpdir(), SERVER_FOLDER));
  const started = await startEmbedded({ directory, role: 'server', durable: false, say: () => undefined });
  embedded = { directory, stop: () => started.stop() };
  return started.url;
}

/** Stops and removes the servers of runs that were killed. */
async function removeDeadServers(): Promise<void> {
  for (const entry of readdirSync(tmpdir())) {
    const directory = join(tmpdir(), entry);
    if (!entry.startsWith(SERVER_FOLDER) || !existsSync(join(directory, 'run'))) continue;
    if (await releaseIfUnused(directory)) rmSync(directory, { recursive: true, force: true });
  }
}

/** Opens another pool on a test database, as a second process would; the leak check knows of it. */
export function openTestPool(url: string, options: { readonly poolSize?: number; readonly schema?: string } = {}): Knex {
  return openDb({ url, schema: options.schema ?? TEST_SCHEMA, poolSize: options.poolSize ?? 4, statementTimeoutMs: 30_000, applicationName: 'credenza-test' });
}

async function withServer<T>(work: (db: Knex) => Promise<T>): Promise<T> {
  const db = openTestPool(await testServerUrl(), { poolSize: 1 });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

async function makeTemplate(name: string, fill: (db: Knex, url: string) => Promise<void>, from = 'template0'): Promise<string> {
  const database = prefix + name;
  await withServer((db) => run(db, sql`create database ${ident(database)} template ${ident(from)}`));
  const url = urlOf(await testServerUrl(), database);
  const db = openTestPool(url);
  try {
    await fill(db, url);
  } finally {
    await db.destroy();
  }
  return database;
}

async function clone(template: string, poolSize: number): Promise<TestDatabase> {
  counter += 1;
  const database = `${prefix}${String(counter)}`;
  await withServer((db) => run(db, sql`create database ${ident(database)} template ${ident(template)}`));
  const url = urlOf(await testServerUrl(), database);
  const db = openTestPool(url, { poolSize });
  open.set(database, db);
  const drop = async (): Promise<void> => {
    await db.destroy();
    await withServer((maintenance) => run(maintenance, sql`drop database if exists ${ident(database)} with (force)`));
    open.delete(database);
  };
  return { db, url, drop };
}

/** Drops the run's templates and whatever tests left, and names what they left. For the root hooks only. */
export async function endOfRun(): Promise<readonly string[]> {
  if (server === null) return [];
  const left = [...open.keys()];
  for (const db of open.values()) await db.destroy();
  await withServer(async (db) => {
    const found = await rows(db, sql`select datname from pg_database where starts_with(datname, ${prefix})`);
    for (const row of found) await run(db, sql`drop database if exists ${ident(String(row['datname']))} with (force)`);
  });
  if (embedded !== null) {
    await embedded.stop();
    rmSync(embedded.directory, { recursive: true, force: true });
  }
  return left;
}
