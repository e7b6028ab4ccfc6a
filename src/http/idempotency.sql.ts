import type { Knex } from 'knex';
import { SQLSTATE, sqlState } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import { platformTable, rows, run, sql } from '../platform/sql.ts';

/** An answer as it is kept for a repeated request. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const HOURS = 24;
const WAIT_SECONDS = 10;

/**
 * Takes a key for this transaction, or answers what was answered before. While another request with the key is worked on,
 * its uncommitted row makes this one wait; a process that dies takes its row with it, so that the request may be sent again.
 * @throws AppError idempotency_in_flight after ten seconds, idempotency_mismatch when the key was used for another request,
 * conflict_state when the answer was not kept
 */
export async function takeKey(tx: Knex.Transaction, principal: string, key: string, requestHash: string, at: string): Promise<KeptAnswer | null> {
  const table = platformTable(tx, 'idempotency_key');
  await run(tx, sql`delete from ${table} where principal = ${principal} and expires_at <= ${at}::timestamptz`);
  await run(tx, sql`set local lock_timeout = '10s'`);
  const mine = await run(
    tx,
    sql`insert into ${table} (principal, key, request_hash, state, created_at, expires_at)
        values (${principal}, ${key}, ${requestHash}, 'open', ${at}::timestamptz, ${at}::timestamptz + make_interval(hours => ${HOURS})) on conflict do nothing`,
  ).catch((error: unknown) => {
    if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
    throw new AppError('idempotency_in_flight', 'The same request is still being worked on.', { retryAfterSeconds: WAIT_SECONDS, cause: error });
  });
  await run(tx, sql`set local lock_timeout = default`);
  if (mine === 1) return null;
  const [row] = await rows(tx, sql`select request_hash, status, headers, body from ${table} where principal = ${principal} and key = ${key}`);
  if (row === undefined) throw new AppError('idempotency_in_flight', 'The same request was just undone; send it again.', { retryAfterSeconds: 1 });
  if (row['request_hash'] !== requestHash) {
    throw new AppError('idempotency_mismatch', 'This Idempotency-Key was used for another request in the last 24 hours. Take a new key.');
  }
  if (row['status'] === null) throw new AppError('conflict_state', 'This was done before. Its answer held a secret, which is shown once and kept nowhere.');
  return toKept(row);
}

/** Keeps the answer beside what the request wrote: both are committed or neither. Without an answer only that it was done. */
export async function keepAnswer(tx: Knex.Transaction, principal: string, key: string, answer: KeptAnswer | null): Promise<void> {
  const headers = answer === null ? null : JSON.stringify(answer.headers);
  await run(
    tx,
    sql`update ${platformTable(tx, 'idempotency_key')} set state = 'done', status = ${answer?.status ?? null}::int, headers = ${headers}::jsonb, body = ${answer?.body ?? null}::text
        where principal = ${principal} and key = ${key}`,
  );
}

/** The boundary for rows of idempotency_key. */
function toKept(row: Readonly<Record<string, unknown>>): KeptAnswer {
  const headers =
    typeof row['headers'] === 'object' && row['headers'] !== null ? Object.entries(row['headers']).map(([name, value]) => [name, String(value)] as const) : [];
  return { status: Number(row['status']), headers: Object.fromEntries<string>(headers), body: String(row['body']) };
}
