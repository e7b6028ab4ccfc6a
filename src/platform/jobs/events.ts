import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { keyword, platformTable, rows, run, sql, type Sql } from '../sql.ts';
import type { EventCause, EventRow } from './types.ts';

const COLUMNS = 'id, object, record_id, record_ids, kind, at, before, after, changed, transition, cause, actor, depth';

/**
 * Takes up to `limit` open events of single records and one of a block of records (or of these only what is asked for), in their order, and holds their rows
 * until the caller's transaction ends: a killed worker gives them back at once. An event is taken only when no earlier
 * event of any of its records is open, in this batch or another worker's. No offset is kept (events leave the table when
 * done), so a transaction that commits late is simply seen later; its record's lock already put its events in order.
 *
 * Each row is asked by itself (scalar subqueries are not turned into joins) with one look into an index for each of its
 * records, so that the work does not grow with what else is open, whatever the statistics of the table say.
 */
export async function claimEvents(
  tx: Knex.Transaction,
  now: Instant,
  limit: number,
  which: 'singles' | 'blocks' | 'all' = 'all',
): Promise<readonly EventRow[]> {
  const event = platformTable(tx, 'event');
  // Worded so that the planner, with or without statistics, expects many rows to fit and reads them in their order.
  const isFree = sql`coalesce(e.lease_until <= ${now}::timestamptz, true)`;
  const firstOf = (record: string): Sql => sql`(select p.seq from ${event} p where p.record_id = ${keyword(record)} order by p.seq limit 1)`;
  const firstBlockOf = (record: string): Sql =>
    sql`(select m.seq from ${platformTable(tx, 'event_member')} m where m.record_id = ${keyword(record)} order by m.seq limit 1)`;
  const found = await rows(
    tx,
    sql`with single as (
          select e.seq, ${columns('e')} from ${event} e
          where e.record_id is not null and ${isFree} and coalesce(${firstOf('e.record_id')} >= e.seq, true) and coalesce(${firstBlockOf('e.record_id')} > e.seq, true)
          order by e.seq limit ${which === 'blocks' ? 0 : limit} for update of e skip locked),
        block as (
          select e.seq, ${columns('e')} from ${event} e
          where e.record_ids is not null and ${isFree}
            and not exists (select from unnest(e.record_ids) r (id) where ${firstOf('r.id')} < e.seq or ${firstBlockOf('r.id')} < e.seq)
          order by e.seq limit ${which === 'singles' ? 0 : 1} for update of e skip locked)
        select * from single union all select * from block order by seq`,
  );
  return found.map(readEvent);
}

/** Holds when some event may be handled now. */
export function isEventDue(db: Knex, now: Instant): Sql {
  return sql`exists (select from ${platformTable(db, 'event')} where lease_until is null or lease_until <= ${now}::timestamptz)`;
}

/** Takes one event by id if it is open and nobody else holds it; used to try a failed batch again one by one. */
export async function claimEvent(tx: Knex.Transaction, id: string): Promise<EventRow | null> {
  const [found] = await rows(tx, sql`select ${columns('e')} from ${platformTable(tx, 'event')} e where e.id = ${id}::uuid for update skip locked`);
  return found === undefined ? null : readEvent(found);
}

/**
 * Moves done events to the log, in the transaction that holds what came of them; each is then owed to the endpoints that are told of such events.
 * The records of a block are no longer kept apart.
 */
export async function closeEvents(tx: Knex.Transaction, ids: readonly string[], now: Instant): Promise<number> {
  if (ids.length === 0) return 0;
  return run(
    tx,
    sql`with done as (delete from ${platformTable(tx, 'event')} where id = any(${ids}::uuid[]) returning *),
        members as (delete from ${platformTable(tx, 'event_member')} m using (select unnest(record_ids) as record_id, seq from done) d
          where m.record_id = d.record_id and m.seq = d.seq),
        told as (insert into ${platformTable(tx, 'webhook_delivery')} (endpoint_id, event_id, event_seq, object, record_id, kind, state, asked_at, next_attempt_at, created_at)
          select w.id, d.id, d.seq, d.object, d.record_id, d.kind, 'queued', ${now}::timestamptz, ${now}::timestamptz, ${now}::timestamptz
          from ${platformTable(tx, 'webhook_endpoint')} w join done d on d.object = any(w.objects) and d.kind = any(w.kinds) where w.is_active
          on conflict (endpoint_id, event_id) do nothing)
        insert into ${platformTable(tx, 'event_log')} (seq, ${keyword(COLUMNS)}, done_at)
        select seq, ${keyword(COLUMNS)}, ${now}::timestamptz from done order by seq`,
  );
}

/** Pauses before the 2nd, 3rd ... try of an event. */
const EVENT_BACK_OFF_MINUTES = [1, 5, 30, 120, 120] as const;

/**
 * Puts an event that could not be handled back for later; it keeps its place before later events of its record. Answers false, having done
 * nothing, when it was tried as often as it is.
 */
export async function deferEvent(tx: Knex.Transaction, id: string, nowMs: number): Promise<boolean> {
  const event = platformTable(tx, 'event');
  const [found] = await rows(tx, sql`select attempts from ${event} where id = ${id}::uuid for update`);
  if (found === undefined) return true;
  const attempts = Number(found['attempts']);
  const minutes = EVENT_BACK_OFF_MINUTES[attempts];
  if (minutes === undefined) return false;
  const until = new Date(nowMs + minutes * 60_000).toISOString();
  await run(tx, sql`update ${event} set attempts = attempts + 1, lease_until = ${until}::timestamptz where id = ${id}::uuid`);
  return true;
}

/** When the next open event may be handled: null when none is open. Reads only. */
export async function nextEventDue(db: Knex, now: Instant): Promise<Instant | null> {
  const [found] = await rows(
    db,
    sql`select min(coalesce(lease_until, ${now}::timestamptz)) as due from ${platformTable(db, 'event')} where lease_until is distinct from 'infinity'`,
  );
  const due = found?.['due'];
  return typeof due === 'string' ? toRfc3339(due) : null;
}

/** Handled events of the log, oldest first unless the newest are asked for; for dry runs and explanations. Reads only. */
export async function listLoggedEvents(
  db: Knex,
  query: {
    readonly since?: Instant;
    readonly object?: string;
    readonly recordId?: string;
    readonly afterSeq?: string;
    readonly newest?: boolean;
    readonly limit: number;
  },
): Promise<readonly (EventRow & { readonly seq: string })[]> {
  const wanted: Sql[] = [sql`true`];
  if (query.since !== undefined) wanted.push(sql`e.at >= ${query.since}::timestamptz`);
  if (query.object !== undefined) wanted.push(sql`e.object = ${query.object}`);
  if (query.recordId !== undefined) wanted.push(sql`e.record_id = ${query.recordId}::uuid`);
  if (query.afterSeq !== undefined) wanted.push(sql`e.seq > ${query.afterSeq}::bigint`);
  const where = wanted.reduce((all, part) => sql`${all} and ${part}`);
  const found = await rows(
    db,
    sql`select e.seq, ${columns('e')} from ${platformTable(db, 'event_log')} e where ${where} order by e.seq ${keyword(query.newest === true ? 'desc' : 'asc')} limit ${query.limit}`,
  );
  return found.map((row) => ({ ...readEvent(row), seq: String(row['seq']) }));
}

/** One handled event, or null when the log has it no more. Reads only. */
export async function loggedEvent(db: Knex, id: string): Promise<(EventRow & { readonly seq: string }) | null> {
  const [row] = await rows(db, sql`select e.seq, ${columns('e')} from ${platformTable(db, 'event_log')} e where e.id = ${id}::uuid`);
  return row === undefined ? null : { ...readEvent(row), seq: String(row['seq']) };
}

function columns(alias: string): Sql {
  return keyword(
    COLUMNS.split(', ')
      .map((name) => `${alias}.${name}`)
      .join(', '),
  );
}

/** The boundary where a row of `event` or `event_log` becomes typed. */
function readEvent(row: Record<string, unknown>): EventRow {
  return {
    id: String(row['id']),
    object: String(row['object']),
    recordId: row['record_id'] as string | null,
    recordIds: row['record_ids'] as string[] | null,
    kind: row['kind'] as EventRow['kind'],
    at: toRfc3339(String(row['at'])),
    before: row['before'] as EventRow['before'],
    after: row['after'] as EventRow['after'],
    changed: row['changed'] as string[],
    transition: row['transition'] as string | null,
    cause: row['cause'] as EventCause,
    actor: String(row['actor']),
    depth: Number(row['depth']),
  };
}
