import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

/** How far the mail to a domain has got: when its next one may leave, and how many left (or were given a moment) on a day. */
export interface Pace {
  readonly domain: string;
  readonly nextAt: string;
  readonly day: string;
  readonly count: number;
}

/** The paces of some domains, kept from others until the transaction ends; domains that are new begin now. */
export async function lockPaces(tx: Knex.Transaction, domains: readonly string[], now: string, day: string): Promise<ReadonlyMap<string, Pace>> {
  const table = platformTable(tx, 'mail_pace');
  const sorted = [...domains].sort();
  await run(
    tx,
    sql`insert into ${table} (domain, next_at, day, day_count) select d, ${now}::timestamptz, ${day}::date, 0 from unnest(${sorted}::text[]) as d order by d on conflict do nothing`,
  );
  const found = await rows(
    tx,
    sql`select domain, next_at, day::text as day, day_count from ${table} where domain = any(${sorted}::text[]) order by domain collate "C" for update`,
  );
  return new Map(
    found.map((row) => {
      const domain = String(row['domain']);
      return [domain, { domain, nextAt: toRfc3339(String(row['next_at'])), day: String(row['day']), count: Number(row['day_count']) }];
    }),
  );
}

export async function savePaces(tx: Knex.Transaction, paces: readonly Pace[]): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'mail_pace')} p set next_at = n."nextAt", day = n.day, day_count = n.count
        from jsonb_to_recordset(${JSON.stringify(paces)}::jsonb) as n (domain text, "nextAt" timestamptz, day date, count integer) where p.domain = n.domain`,
  );
}

/** A mail that does not leave now. */
export interface Deferral {
  readonly id: string;
  readonly at: string;
  /** Whether this moment is kept for it. */
  readonly reserved: boolean;
}

/** Puts claimed mails back until their moment, as if they had not been claimed. */
export async function defer(tx: Knex.Transaction, deferrals: readonly Deferral[]): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} d set next_attempt_at = n.at, paced_at = case when n.reserved then n.at end, lease_until = null, attempt = d.attempt - 1
        from jsonb_to_recordset(${JSON.stringify(deferrals)}::jsonb) as n (id uuid, at timestamptz, reserved boolean) where d.id = n.id and d.state = 'queued'`,
  );
}

/** Of some claimed mails, those whose moment was kept for them since `since`. */
export async function reservedOf(tx: Knex.Transaction, ids: readonly string[], since: string): Promise<ReadonlySet<string>> {
  const found = await rows(
    tx,
    sql`select id::text from ${platformTable(tx, 'mail_delivery')}
        where id = any(${[...ids]}::uuid[]) and paced_at = next_attempt_at and paced_at >= ${since}::timestamptz`,
  );
  return new Set(found.map((row) => String(row['id'])));
}
