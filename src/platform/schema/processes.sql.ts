import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { AppError, isAppError } from '../errors.ts';
import { platformTable, ready, rowArrays, rows, run, schemaOf, sql, type Sql } from '../sql.ts';

/** A process that was not heard of for so long no longer counts: its writes are refused until it has the version in force. */
const EXPIRES_SECONDS = 10;
const WAIT_MS = 100;
const GIVE_UP_MS = 300_000;
/** What whoever has written to a table holds until the transaction ends. Others that work in the database, for another tenant say, are not waited for. */
const WRITING = ['RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'];

/** What a process that asks is told: the version in force, and under which id the next one is announced as long as it is not in force. */
export interface Heard {
  readonly version: number;
  readonly announced: string | null;
}

/** Says that a process lives and runs on a version of the metadata. Writes. */
export async function beat(db: Knex, process: string, version: number): Promise<Heard> {
  const statement = sql`insert into ${platformTable(db, 'process')} (id, model_version, seen_at) values (${process}, ${version}, clock_timestamp())
    on conflict (id) do update set model_version = excluded.model_version, seen_at = excluded.seen_at
    returning ${heard(db)}`;
  const [row] = await rowArrays(db, ready(statement.text, 'process_beat'), statement.values);
  return asHeard(row);
}

/** What is in force and what is announced. Reads only. */
export async function listen(db: Knex): Promise<Heard> {
  const statement = sql`select ${heard(db)}`;
  const [row] = await rowArrays(db, ready(statement.text, 'process_listen'), statement.values);
  return asHeard(row);
}

function heard(db: Knex): Sql {
  const inForce = sql`(select coalesce(max(version), 0) from ${platformTable(db, 'metadata_version')})`;
  return sql`${inForce} as version, (select id from ${platformTable(db, 'metadata_announced')} where version > ${inForce} limit 1) as announced`;
}

function asHeard(row: readonly unknown[] | undefined): Heard {
  const [version, announced] = row ?? [];
  return { version: Number(version ?? 0), announced: typeof announced === 'string' ? announced : null };
}

/** The process ends in good order. Writes. */
export async function leave(db: Knex, process: string): Promise<void> {
  await run(db, sql`delete from ${platformTable(db, 'process')} where id = ${process}`);
}

/**
 * Waits until every process runs on the version or is expired, and until every write that began before is over.
 * @throws AppError conflict_state, naming them, after five minutes
 */
export async function waitForProcesses(db: Knex, version: number, renew: () => Promise<void>): Promise<void> {
  const [now] = await rows(db, sql`select clock_timestamp() as at`);
  const since = String(now?.['at']);
  const table = platformTable(db, 'process');
  const start = performance.now();
  for (;;) {
    await run(db, sql`delete from ${table} where seen_at < clock_timestamp() - make_interval(secs => ${EXPIRES_SECONDS})`);
    const behind = await rows(db, sql`select id from ${table} where model_version < ${version}::int`);
    const writing = await rows(
      db,
      sql`select a.pid, left(a.query, 80) as query from pg_catalog.pg_stat_activity a
          where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_xid is not null and a.xact_start < ${since}::timestamptz
            and exists (select from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
              where l.pid = a.pid and l.granted and l.mode = any(${WRITING}::text[]) and c.relnamespace = ${schemaOf(db)}::regnamespace)`,
    );
    if (behind.length === 0 && writing.length === 0) return;
    if (performance.now() - start > GIVE_UP_MS) {
      const who = [...behind.map((row) => `process ${String(row['id'])}`), ...writing.map((row) => `backend ${String(row['pid'])} (${String(row['query'])})`)];
      throw new AppError('conflict_state', `These still run on an older version of the metadata: ${who.join(', ')}.`);
    }
    await renew();
    await delay(WAIT_MS);
  }
}

/**
 * A condition that holds as long as no later version of the metadata is in force. As part of the statement that writes a record it
 * sees every version that was committed before the statement had its locks. `version` may be the place of a value bound later.
 */
export function isInForce(db: Knex, version: number | Sql): Sql {
  return sql`not exists (select from ${platformTable(db, 'metadata_version')} where version > ${version}::int)`;
}

/** The error of a write whose Model was replaced meanwhile: it is done again on the new one. */
export function modelChanged(): AppError {
  return new AppError('model_changed', 'The metadata changed while this request ran. Send it again.', { retryAfterSeconds: 1 });
}

/**
 * For what must not stand when its Model was replaced: the first statement of a transaction that writes by it, and a refusal or a
 * failure that is about to be noted for good. Reads only.
 * @throws AppError model_changed when another version is in force
 */
export async function requireInForce(db: Knex, version: number): Promise<void> {
  const [row] = await rows(db, sql`select ${isInForce(db, version)} as current`);
  if (row?.['current'] !== true) throw modelChanged();
}

/** Times that work is begun; a version follows another after seconds, so that the second time is enough but for bad luck. */
const MOST_TRIES = 3;

/**
 * Does work that reads the Model and writes by it; done anew when that Model was replaced meanwhile. Work that failed so has written
 * nothing, and must ask for the Model itself.
 * @throws AppError model_changed when that happens again and again
 */
export async function onModelInForce<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isAppError(error, 'model_changed') || attempt === MOST_TRIES) throw error;
    }
  }
}
