import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import knexFactory, { type Knex } from 'knex';
import pg from 'pg';
import { AppError } from './errors.ts';
import { isTransaction, type SlowReport, type SlowWatch } from './sql.ts';

/** PostgreSQL's SQLSTATE codes that the product reacts to. */
export const SQLSTATE = {
  uniqueViolation: '23505',
  foreignKeyViolation: '23503',
  notNullViolation: '23502',
  checkViolation: '23514',
  exclusionViolation: '23P01',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  undefinedColumn: '42703',
  undefinedTable: '42P01',
  programLimitExceeded: '54000',
} as const;

// Instants, days and decimals stay text: a Date drops microseconds and a number drops digits (architecture.md, 3).
for (const oid of [1082, 1114, 1184, 1700, 20]) pg.types.setTypeParser(oid, (text: string) => text);

export interface DbOptions {
  readonly url: string;
  /** The tenant's schema: every table of the product is named with it. */
  readonly schema: string;
  readonly poolSize: number;
  readonly statementTimeoutMs: number;
  /** After so long without a word inside a transaction PostgreSQL takes it back and ends the connection (default 60 s). */
  readonly idleTransactionMs?: number;
  readonly applicationName?: string;
  /** Who is told of statements that take long. */
  readonly slow?: SlowReport;
  /** False where no statement may have a name (default true). */
  readonly prepares?: boolean;
  /** The same database past any pooler; null or left out: `url` leads there. */
  readonly directUrl?: string | null;
}

/** What a connection is opened with. A pooler that ignores it needs the role to have the same; `migrate.ts` looks. */
export const SESSION_SETTINGS = {
  timezone: 'UTC',
  datestyle: 'ISO',
  // Compiling a statement took 0.7 to 3 s where running it took milliseconds: single expressions of forms and rules.
  jit: 'off',
  // Two neighbouring letters exchanged in a name of seven leave 0.375 of its trigrams; the default is 0.6.
  'pg_trgm.word_similarity_threshold': '0.35',
} as const;

/**
 * What a process that stands still or a host that is gone may keep others waiting for. No work of the product is longer between two
 * statements of a transaction: what computes for long or waits for others outside does so before or after it.
 */
const IDLE_TRANSACTION_MS = 60_000;
/** Silence after which either side asks whether the other is still there, and how often it asks again. */
const KEEPALIVE_SECONDS = { idle: 30, interval: 10 } as const;

function startOptions(idleTransactionMs: number): string {
  const settings = {
    ...SESSION_SETTINGS,
    idle_in_transaction_session_timeout: String(idleTransactionMs),
    // Not heeded on sockets that are files, so these are no settings that a session must have.
    tcp_keepalives_idle: String(KEEPALIVE_SECONDS.idle),
    tcp_keepalives_interval: String(KEEPALIVE_SECONDS.interval),
  };
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
}

/**
 * PostgreSQL before 18 asks a disk for one page of a table after the other; told to, it asks for those that it knows it will read ahead of
 * reading them. 10,000 scattered search entries that it had to read from disk took 293 and 467 ms, with this 84 and 108 ms. Zero says that the
 * host cannot, or that somebody wants none.
 */
const READ_AHEAD = `select set_config('effective_io_concurrency', '100', false) where current_setting('effective_io_concurrency')::int between 1 and 15`;

const ignore = (): void => undefined;

/** Opens a pool. Close it with `db.destroy()`. */
export function openDb(options: DbOptions): Knex {
  const db = knexFactory({
    client: 'pg',
    connection: {
      connectionString: options.url,
      application_name: options.applicationName ?? 'credenza',
      statement_timeout: options.statementTimeoutMs,
      options: startOptions(options.idleTransactionMs ?? IDLE_TRANSACTION_MS),
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_SECONDS.idle * 1000,
    },
    pool: { min: 0, max: options.poolSize, acquireTimeoutMillis: 15_000, ...(isPooled(options) ? {} : { afterCreate: readAhead }) },
    // knex prints connection errors to the console besides rejecting with them; the rejection is enough.
    log: { warn: ignore, error: ignore, debug: ignore, deprecate: ignore },
  });
  const ownSession: OwnSession = { isDirect: (options.directUrl ?? null) !== null, open: () => openSession(options) };
  db.userParams = {
    schema: options.schema,
    prepares: options.prepares ?? true,
    ownSession,
    ...(options.slow === undefined ? {} : { slow: { ...options.slow, db } satisfies SlowWatch }),
  };
  return db;
}

/** Whether there may be a pooler between, which would give a setting of the session to whom it likes. */
const isPooled = ({ directUrl, prepares }: DbOptions): boolean => (directUrl ?? null) !== null || prepares === false;

/** Called for each new connection. */
function readAhead(connection: pg.Client, done: (error: Error | null, connection: pg.Client) => void): void {
  connection.query(READ_AHEAD, (error: Error | null) => {
    done(error, connection);
  });
}

interface OwnSession {
  readonly isDirect: boolean;
  readonly open: () => Knex;
}

function openSession(options: DbOptions): Knex {
  return openDb({ ...options, url: options.directUrl ?? options.url, poolSize: 1, prepares: false });
}

/**
 * Runs work on a connection of its own, whose settings it may change and which is closed afterwards: a pooler in transaction mode would give
 * each statement another one, and what was set to others.
 * @throws AppError config_invalid where there is a pooler and no address past it is known
 */
export async function inOwnSession<T>(db: Knex, work: (session: Knex, connection: unknown) => Promise<T>): Promise<T> {
  const { isDirect, open } = ownSessionOf(db);
  const session = open();
  try {
    const connection: unknown = await session.client.acquireConnection();
    try {
      if (!isDirect) await refusePooler(session, connection);
      return await work(session, connection);
    } finally {
      await session.client.releaseConnection(connection);
    }
  } finally {
    await session.destroy();
  }
}

/** The one boundary to what `openDb` keeps with a pool for this. */
function ownSessionOf(db: Knex): OwnSession {
  const own: OwnSession = db.userParams['ownSession'];
  return own;
}

/** A pooler tells each of its clients another process than the one that runs its statements. */
async function refusePooler(session: Knex, connection: unknown): Promise<void> {
  const { rows: found } = await session.raw<{ rows: readonly { readonly pid: number }[] }>('select pg_backend_pid() as pid').connection(connection);
  const told = typeof connection === 'object' && connection !== null && 'processID' in connection ? connection.processID : null;
  if (found[0]?.pid === told) return;
  throw new AppError(
    'config_invalid',
    'DATABASE_URL leads to a connection pooler. This change makes or drops an index beside running work, which needs a connection of its own: set DATABASE_DIRECT_URL to the address of PostgreSQL itself.',
  );
}

/** The SQLSTATE of a driver error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const UNREACHABLE = /^(ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ETIMEDOUT|25P03|57P0[123]|08\w{3}|53300)$/;
const REFUSED = /^(28\w{3}|3D000)$/;
/** What the driver says where a connection was ended before it could answer: such errors carry no code. */
const ENDED = /(?:Client has encountered a connection error and is not queryable|Connection terminated(?: unexpectedly)?)$/;

/**
 * Why the database cannot be used, in the words of the driver, or null for any other error. Such errors are raised where a
 * connection is made, so that they carry addresses and names, never values or passwords.
 */
export function databaseTrouble(error: unknown): { readonly reason: string; readonly isRefusal: boolean } | null {
  if (!(error instanceof Error)) return null;
  if (error.name === 'KnexTimeoutError') return { reason: 'no connection became free', isRefusal: false };
  if (ENDED.test(error.message)) return { reason: 'the connection was ended', isRefusal: false };
  const code = sqlState(error) ?? '';
  if (!UNREACHABLE.test(code) && !REFUSED.test(code)) return null;
  // An address with several numbers fails once for each of them; the error that sums up has no words of its own.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return { reason: first instanceof Error ? first.message : code, isRefusal: REFUSED.test(code) };
}

const RETRIED: readonly string[] = [SQLSTATE.serializationFailure, SQLSTATE.deadlockDetected];

/**
 * Runs `work` in one transaction; joins when `db` already is one. Serialisation failures and deadlocks are tried
 * again, at most five times and after a moment of random length (quality.md, 4): `work` must have no effect outside the database.
 */
export async function inTransaction<T>(db: Knex, work: (tx: Knex.Transaction) => Promise<T>): Promise<T> {
  if (isTransaction(db)) return work(db);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.transaction(work);
    } catch (error) {
      if (!isRetried(error) || attempt >= 5) throw error;
      // Those that stood in each other's way must not do so again at once.
      await delay(randomInt(1, 10) * 2 ** attempt);
    }
  }
}

/** True for a serialisation failure or a deadlock: nothing was written, and the same work may succeed now. */
export function isRetried(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && RETRIED.includes(state);
}

const INSTANT = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(?:\+00(?::?00)?|Z)$/;

/** PostgreSQL's text of a timestamptz (in UTC) to RFC 3339 with milliseconds. */
export function toRfc3339(text: string): string {
  const match = INSTANT.exec(text);
  if (match === null) throw new RangeError(`Not a UTC instant: ${text}`);
  return `${match[1] ?? ''}T${match[2] ?? ''}.${(match[3] ?? '').padEnd(3, '0').slice(0, 3)}Z`;
}
