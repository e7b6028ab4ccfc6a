import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import { closeEvents } from './events.ts';

/** An event that could not be handled however often it was tried; later ones of its records wait until somebody decides. */
export interface StoppedEvent {
  readonly id: string;
  readonly object: string;
  readonly recordId: string | null;
  /** How many records it is about. */
  readonly records: number;
  readonly kind: string;
  readonly tries: number;
  readonly error: string;
  readonly stoppedAt: Instant;
  /** How many later events of its record wait for it; of a block null. */
  readonly waiting: number | null;
}

/** Most that one list shows. */
const MOST_SHOWN = 200;

/** Sets an event aside: it is not tried again until somebody decides. Null-safe against an event that was closed meanwhile. */
export async function stopEvent(tx: Knex.Transaction, id: string, error: string, now: Instant): Promise<void> {
  const event = platformTable(tx, 'event');
  await run(
    tx,
    sql`with stopped as (update ${event} set attempts = attempts + 1, lease_until = 'infinity' where id = ${id}::uuid returning *)
        insert into ${platformTable(tx, 'stopped_event')} (event_id, object, record_id, records, kind, tries, error, stopped_at)
        select id, object, record_id, coalesce(cardinality(record_ids), 1), kind, attempts, ${error}, ${now}::timestamptz from stopped
        on conflict (event_id) do update set tries = excluded.tries, error = excluded.error, stopped_at = excluded.stopped_at,
          decision = null, decided_by = null, decided_at = null`,
  );
}

/** Events that wait for a decision, newest first: the last 200. Reads only. */
export async function stoppedEvents(db: Knex): Promise<readonly StoppedEvent[]> {
  const event = platformTable(db, 'event');
  const found = await rows(
    db,
    sql`select s.*, case when s.record_id is null then null else
            (select count(*) from ${event} later where later.record_id = s.record_id and later.seq > (select seq from ${event} e where e.id = s.event_id)) end as waiting
        from ${platformTable(db, 'stopped_event')} s where s.decision is null order by s.stopped_at desc, s.event_id limit ${MOST_SHOWN}`,
  );
  return found.map((row) => ({
    id: String(row['event_id']),
    object: String(row['object']),
    recordId: row['record_id'] as string | null,
    records: Number(row['records']),
    kind: String(row['kind']),
    tries: Number(row['tries']),
    error: String(row['error']),
    stoppedAt: toRfc3339(String(row['stopped_at'])),
    waiting: row['waiting'] === null ? null : Number(row['waiting']),
  }));
}

/**
 * Decides about a stopped event: `replayed` has it tried again from the start, `passed` lets later events of its records go on, and it
 * starts no rule. Answers whether there was such an event.
 */
export async function decideEvent(tx: Knex.Transaction, id: string, decision: 'replayed' | 'passed', by: string, now: Instant): Promise<boolean> {
  const decided = await run(
    tx,
    sql`update ${platformTable(tx, 'stopped_event')} set decision = ${decision}, decided_by = ${by}, decided_at = ${now}::timestamptz
        where event_id = ${id}::uuid and decision is null`,
  );
  if (decided === 0) return false;
  if (decision === 'passed') await closeEvents(tx, [id], now);
  else await run(tx, sql`update ${platformTable(tx, 'event')} set attempts = 0, lease_until = null where id = ${id}::uuid`);
  return true;
}
