import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

/** Who fetches an account now: a process, until its lease ends. */
export interface Holder {
  readonly account: string;
  readonly holder: string;
}

export interface Place {
  /** What the server's numbers are good for; null before the first fetch. */
  readonly validity: string | null;
  /** All messages up to this number are filed, or stand in the list of those that could not be. */
  readonly uid: number;
  /** Fetches in a row that failed. */
  readonly failures: number;
}

/** Takes an account that is due, for one process at a time; null when it is not due or another has it. */
export async function takeAccount(db: Knex, { account, holder }: Holder, now: Instant, until: Instant): Promise<Place | null> {
  const [row] = await rows(
    db,
    sql`insert into ${platformTable(db, 'mail_fetch')} as f (account, holder, lease_until, due_at) values (${account}, ${holder}, ${until}::timestamptz, ${now}::timestamptz)
        on conflict (account) do update set holder = excluded.holder, lease_until = excluded.lease_until
          where f.due_at <= ${now}::timestamptz and (f.lease_until is null or f.lease_until <= ${now}::timestamptz)
        returning uid_validity, uid::text, failures`,
  );
  if (row === undefined) return null;
  return { validity: typeof row['uid_validity'] === 'string' ? row['uid_validity'] : null, uid: Number(row['uid']), failures: Number(row['failures']) };
}

/** Raised in the midst of a fetch by a process whose lease has gone to another: nothing of its transaction stays. */
export function isLost(error: unknown): boolean {
  return error instanceof AppError && error.code === 'conflict_state' && error.message === LOST;
}

const LOST = 'Another process fetches this account now.';

function held(count: number): void {
  if (count !== 1) throw new AppError('conflict_state', LOST);
}

/** Keeps the account until `until`. @throws AppError conflict_state when another process has it */
export async function keepAccount(db: Knex, { account, holder }: Holder, until: Instant): Promise<void> {
  held(await run(db, sql`update ${platformTable(db, 'mail_fetch')} set lease_until = ${until}::timestamptz where account = ${account} and holder = ${holder}`));
}

/** The server gives its messages new numbers: begins anew. @throws AppError conflict_state when another process has it */
export async function beginAnew(tx: Knex.Transaction, { account, holder }: Holder, validity: string): Promise<void> {
  held(await run(tx, sql`update ${platformTable(tx, 'mail_fetch')} set uid_validity = ${validity}, uid = 0 where account = ${account} and holder = ${holder}`));
  await run(tx, sql`delete from ${platformTable(tx, 'mail_unfiled')} where account = ${account} and uid_validity <> ${validity}`);
}

/** Notes that the message is done with, and keeps the account. @throws AppError conflict_state when another process has it */
export async function passMessage(tx: Knex.Transaction, { account, holder }: Holder, validity: string, uid: number, until: Instant): Promise<void> {
  held(
    await run(
      tx,
      sql`update ${platformTable(tx, 'mail_fetch')} set uid = greatest(uid, ${uid}::bigint), lease_until = ${until}::timestamptz
          where account = ${account} and holder = ${holder} and uid_validity = ${validity}`,
    ),
  );
}

/** Gives the account back until it is due again. Nothing happens when another process has it. */
export async function releaseAccount(db: Knex, { account, holder }: Holder, now: Instant, dueAt: Instant, failure: string | null): Promise<void> {
  const outcome =
    failure === null
      ? sql`failures = 0, fetched_at = ${now}::timestamptz`
      : sql`failures = failures + 1, failed_at = ${now}::timestamptz, failure = ${failure}`;
  await run(
    db,
    sql`update ${platformTable(db, 'mail_fetch')} set holder = null, lease_until = null, due_at = ${dueAt}::timestamptz, ${outcome}
        where account = ${account} and holder = ${holder}`,
  );
}

export interface Unfiled {
  readonly account: string;
  readonly validity: string;
  readonly uid: number;
}

/** Notes that a message could not be filed, and answers how often it was tried. */
export async function noteUnfiled(tx: Knex.Transaction, { account, validity, uid }: Unfiled, bytes: number, reason: string, now: Instant): Promise<number> {
  const [row] = await rows(
    tx,
    sql`insert into ${platformTable(tx, 'mail_unfiled')} as u (account, uid_validity, uid, reason, bytes, first_at) values (${account}, ${validity}, ${uid}::bigint, ${reason}, ${bytes}::bigint, ${now}::timestamptz)
        on conflict (account, uid_validity, uid) do update set reason = excluded.reason, attempts = u.attempts + 1, next_at = null returning attempts`,
  );
  return Number(row?.['attempts']);
}

/** When a message is tried again. */
export async function tryAgainAt(tx: Knex.Transaction, { account, validity, uid }: Unfiled, at: Instant): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'mail_unfiled')} set next_at = ${at}::timestamptz where account = ${account} and uid_validity = ${validity} and uid = ${uid}::bigint`,
  );
}

/** The message is filed after all, or no longer there. */
export async function forgetUnfiled(tx: Knex.Transaction, { account, validity, uid }: Unfiled): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'mail_unfiled')} where account = ${account} and uid_validity = ${validity} and uid = ${uid}::bigint`);
}

/** Numbers of the messages that could not be filed; those that are to be tried again are due. */
export async function unfiledOf(
  db: Knex,
  account: string,
  validity: string,
  now: Instant,
): Promise<readonly { readonly uid: number; readonly isDue: boolean }[]> {
  const found = await rows(
    db,
    sql`select uid::text, coalesce(next_at <= ${now}::timestamptz, false) as due from ${platformTable(db, 'mail_unfiled')} where account = ${account} and uid_validity = ${validity} order by uid`,
  );
  return found.map((row) => ({ uid: Number(row['uid']), isDue: row['due'] === true }));
}

/** How an account that mail is fetched from does. */
export interface AccountState {
  /** Name of its mailbox; `(bounces)` for that of reports about deliveries. */
  readonly account: string;
  readonly fetchedAt: Instant | null;
  /** Of the last failure, which may be over: `failures` counts those in a row. */
  readonly failedAt: Instant | null;
  readonly failure: string | null;
  readonly failures: number;
  readonly dueAt: Instant;
  /** Messages that could not be filed and stay on the server, flagged; at most 100. */
  readonly unfiled: readonly {
    readonly uid: string;
    readonly reason: string;
    readonly bytes: number;
    readonly attempts: number;
    readonly firstAt: Instant;
    readonly nextAt: Instant | null;
  }[];
}

/** The accounts that mail was fetched from. */
export async function accountStates(db: Knex): Promise<readonly AccountState[]> {
  const accounts = await rows(
    db,
    sql`select account, fetched_at, failed_at, failure, failures, due_at from ${platformTable(db, 'mail_fetch')} order by account`,
  );
  const states: AccountState[] = [];
  for (const row of accounts) {
    const account = String(row['account']);
    const unfiled = await rows(
      db,
      sql`select uid::text, reason, bytes::text, attempts, first_at, next_at from ${platformTable(db, 'mail_unfiled')} where account = ${account} order by first_at, uid limit 100`,
    );
    states.push({
      account,
      fetchedAt: instantOf(row['fetched_at']),
      failedAt: instantOf(row['failed_at']),
      failure: typeof row['failure'] === 'string' ? row['failure'] : null,
      failures: Number(row['failures']),
      dueAt: instantOf(row['due_at']) ?? '',
      unfiled: unfiled.map((entry) => ({
        uid: String(entry['uid']),
        reason: String(entry['reason']),
        bytes: Number(entry['bytes']),
        attempts: Number(entry['attempts']),
        firstAt: instantOf(entry['first_at']) ?? '',
        nextAt: instantOf(entry['next_at']),
      })),
    });
  }
  return states;
}

function instantOf(value: unknown): Instant | null {
  return value === null || value === undefined ? null : new Date(value instanceof Date ? value.getTime() : String(value)).toISOString();
}
