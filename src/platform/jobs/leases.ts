import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

/**
 * Takes or prolongs a named lease until `until`: true when `holder` has it now. A holder that dies loses it by time.
 * Leases are rows, not advisory locks, so that they work through poolers and on any server.
 */
export async function takeLease(db: Knex, name: string, holder: string, now: Instant, until: Instant): Promise<boolean> {
  const won = await rows(
    db,
    sql`insert into ${platformTable(db, 'lease')} as held (name, holder, expires_at) values (${name}, ${holder}, ${until}::timestamptz)
        on conflict (name) do update set holder = excluded.holder, expires_at = excluded.expires_at
        where held.holder = excluded.holder or held.expires_at <= ${now}::timestamptz returning holder`,
  );
  return won.length === 1;
}

/** Gives a lease back; nothing happens when `holder` no longer has it. */
export async function releaseLease(db: Knex, name: string, holder: string): Promise<void> {
  await run(db, sql`delete from ${platformTable(db, 'lease')} where name = ${name} and holder = ${holder}`);
}
