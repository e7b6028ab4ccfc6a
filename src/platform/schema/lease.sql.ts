import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

const LEASE_SECONDS = 30;
const RENEW_MS = 5_000;
const WAIT_ATTEMPTS = 1200;
const WAIT_MS = 100;

/** Keeps a lease while its holder works. */
export interface HeldLease {
  /** Lengthens the lease. @throws AppError conflict_state when it was lost */
  renew(db: Knex): Promise<void>;
}

/**
 * Does `work` while holding the named lease row; waits for another holder to finish or to expire. A holder that lives
 * keeps the lease however long one statement takes.
 * @throws AppError conflict_state when the lease is not won in two minutes, or was lost to another process
 */
export async function withLease<T>(db: Knex, name: string, work: (lease: HeldLease) => Promise<T>): Promise<T> {
  const holder = randomUUID();
  const table = platformTable(db, 'lease');
  await acquire(db, name, holder);
  let renewedAt = performance.now();
  let isLost = false;
  let failure: unknown = null;
  const lengthen = async (handle: Knex): Promise<void> => {
    const held = await run(
      handle,
      sql`update ${table} set expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}) where name = ${name} and holder = ${holder}`,
    );
    renewedAt = performance.now();
    isLost ||= held !== 1;
    failure = null;
  };
  const renew = async (handle: Knex): Promise<void> => {
    // Batches ask often; a statement a second is enough.
    if (performance.now() - renewedAt > 1_000) await lengthen(handle);
    if (isLost) throw new AppError('conflict_state', `The lease "${name}" was lost to another process; try again.`);
    if (failure !== null) throw new AppError('external_unavailable', `The lease "${name}" could not be kept.`, { cause: failure });
  };
  let renewing: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    renewing = renewing
      .then(() => lengthen(db))
      .catch((error: unknown) => {
        failure = error;
      });
  }, RENEW_MS);
  try {
    return await work({ renew });
  } finally {
    clearInterval(timer);
    await renewing;
    await run(db, sql`delete from ${table} where name = ${name} and holder = ${holder}`);
  }
}

async function acquire(db: Knex, name: string, holder: string): Promise<void> {
  for (let attempt = 1; attempt <= WAIT_ATTEMPTS; attempt += 1) {
    const won = await rows(
      db,
      sql`insert into ${platformTable(db, 'lease')} as held (name, holder, expires_at)
          values (${name}, ${holder}, clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}))
          on conflict (name) do update set holder = excluded.holder, expires_at = excluded.expires_at
          where held.expires_at < clock_timestamp()
          returning holder`,
    );
    if (won.length > 0) return;
    await delay(WAIT_MS);
  }
  throw new AppError('conflict_state', `Another process holds the lease "${name}" and does not come to an end; look at its log, then try again.`);
}
