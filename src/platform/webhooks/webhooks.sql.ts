import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { keyword, platformTable, rows, run, sql, type Sql } from '../sql.ts';
import {
  DELIVERY_STATES,
  WEBHOOK_KINDS,
  webhookIdOf,
  type ClaimedWebhook,
  type WebhookDelivery,
  type WebhookDeliveryState,
  type WebhookEndpoint,
} from './types.ts';

const DELIVERY = keyword(
  'd.id, d.endpoint_id, d.event_id, d.event_seq, d.object, d.record_id, d.kind, d.state, d.tries, d.next_attempt_at, d.status, d.last_error, d.created_at, d.finished_at',
);
const ENDPOINT = keyword('w.id, w.name, w.url, w.objects, w.kinds, w.permission_sets, w.is_active, w.inactive_reason, w.paused_until, w.created_at');

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const instantOrNull = (value: unknown): Instant | null => (typeof value === 'string' ? toRfc3339(value) : null);
const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

/** The boundary for rows of webhook_endpoint. */
function toEndpoint(row: Record<string, unknown>): WebhookEndpoint {
  const kinds = texts(row['kinds']);
  return {
    id: String(row['id']),
    name: String(row['name']),
    url: String(row['url']),
    objects: texts(row['objects']),
    kinds: WEBHOOK_KINDS.filter((kind) => kinds.includes(kind)),
    permissionSets: texts(row['permission_sets']),
    active: row['is_active'] === true,
    inactiveReason: textOrNull(row['inactive_reason']),
    pausedUntil: instantOrNull(row['paused_until']),
    createdAt: toRfc3339(String(row['created_at'])),
  };
}

/** The boundary for rows of webhook_delivery. */
function toDelivery(row: Record<string, unknown>): WebhookDelivery {
  const state = DELIVERY_STATES.find((entry) => entry === row['state']) ?? 'dead';
  return {
    id: String(row['id']),
    endpoint: String(row['endpoint_id']),
    webhookId: webhookIdOf(String(row['event_id'])),
    seq: Number(row['event_seq']),
    object: String(row['object']),
    recordId: textOrNull(row['record_id']),
    kind: String(row['kind']),
    state,
    tries: Number(row['tries']),
    nextAttemptAt: state === 'queued' ? instantOrNull(row['next_attempt_at']) : null,
    status: row['status'] === null ? null : Number(row['status']),
    error: textOrNull(row['last_error']),
    createdAt: toRfc3339(String(row['created_at'])),
    finishedAt: instantOrNull(row['finished_at']),
  };
}

export async function insertEndpoint(
  tx: Knex.Transaction,
  endpoint: Pick<WebhookEndpoint, 'id' | 'name' | 'url' | 'objects' | 'kinds' | 'permissionSets'>,
  secret: Uint8Array,
  at: Instant,
  by: string,
): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'webhook_endpoint')} (id, name, url, objects, kinds, permission_sets, secret, created_at, created_by)
        values (${endpoint.id}::uuid, ${endpoint.name}, ${endpoint.url}, ${[...endpoint.objects]}::text[], ${[...endpoint.kinds]}::text[],
          ${[...endpoint.permissionSets]}::text[], ${Buffer.from(secret)}::bytea, ${at}::timestamptz, ${by})`,
  );
}

/** All endpoints, in the order of their names. */
export async function allEndpoints(db: Knex): Promise<readonly WebhookEndpoint[]> {
  return (await rows(db, sql`select ${ENDPOINT} from ${platformTable(db, 'webhook_endpoint')} w order by w.name, w.id`)).map(toEndpoint);
}

/** The endpoint of one id, or null. */
export async function endpointById(db: Knex, id: string): Promise<WebhookEndpoint | null> {
  const [row] = await rows(db, sql`select ${ENDPOINT} from ${platformTable(db, 'webhook_endpoint')} w where w.id = ${id}::uuid`);
  return row === undefined ? null : toEndpoint(row);
}

/** Removes an endpoint and its deliveries; false when there is none. */
export async function deleteEndpoint(tx: Knex.Transaction, id: string): Promise<boolean> {
  return (await run(tx, sql`delete from ${platformTable(tx, 'webhook_endpoint')} where id = ${id}::uuid`)) === 1;
}

/** Lets an endpoint get events, or no more; false when there is none. One that is let again is tried at once. */
export async function setEndpointActive(db: Knex, id: string, active: boolean, reason: string | null): Promise<boolean> {
  const touched = await run(
    db,
    sql`update ${platformTable(db, 'webhook_endpoint')} set is_active = ${active}, inactive_reason = ${reason}, failures = 0, paused_until = null where id = ${id}::uuid`,
  );
  return touched === 1;
}

/** Gives an endpoint another secret; the one before signs beside it until `formerUntil`. */
export async function replaceSecret(tx: Knex.Transaction, id: string, secret: Uint8Array, formerUntil: Instant): Promise<boolean> {
  const touched = await run(
    tx,
    sql`update ${platformTable(tx, 'webhook_endpoint')} set former_secret = secret, former_until = ${formerUntil}::timestamptz, secret = ${Buffer.from(secret)}::bytea
        where id = ${id}::uuid`,
  );
  return touched === 1;
}

/** Notes in the audit that somebody did something with an endpoint. */
export async function auditEndpoint(
  tx: Knex.Transaction,
  entry: { readonly at: Instant; readonly actor: string; readonly action: string; readonly id: string },
): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'audit_entry')} (at, actor, action, detail)
        values (${entry.at}::timestamptz, ${entry.actor}, ${entry.action}, ${JSON.stringify({ webhook: entry.id })}::jsonb)`,
  );
}

/** Holds for a delivery `d` of an endpoint `w` that may be sent now, as far as its turn is not asked. */
function isReady(now: Instant): Sql {
  return sql`d.endpoint_id = w.id and d.state = 'queued' and d.next_attempt_at <= ${now}::timestamptz and (d.lease_until is null or d.lease_until <= ${now}::timestamptz)
    and w.is_active and (w.paused_until is null or w.paused_until <= ${now}::timestamptz)`;
}

/** Holds when some delivery may be due. */
export function isWebhookDue(db: Knex, now: Instant): Sql {
  return sql`exists (select from ${platformTable(db, 'webhook_endpoint')} w join ${platformTable(db, 'webhook_delivery')} d on ${isReady(now)})`;
}

/**
 * Takes up to `limit` due deliveries for this process until `leaseUntil`, of one endpoint at most `most`. One is taken only when none before it of its
 * record waits for the same endpoint; that of a block of records waits for all of its object, and these for it.
 */
export async function claimWebhooks(
  tx: Knex.Transaction,
  now: Instant,
  leaseUntil: Instant,
  { limit, most }: { readonly limit: number; readonly most: number },
): Promise<readonly ClaimedWebhook[]> {
  const [delivery, endpoint] = [platformTable(tx, 'webhook_delivery'), platformTable(tx, 'webhook_endpoint')];
  const none = (which: Sql): Sql =>
    sql`not exists (select from ${delivery} p where p.endpoint_id = d.endpoint_id and p.state = 'queued' and p.event_seq < d.event_seq and ${which})`;
  const claimed = await rows(
    tx,
    sql`update ${delivery} d set lease_until = ${leaseUntil}::timestamptz, attempt = d.attempt + 1, tries = d.tries + 1
        from ${endpoint} w
        where w.id = d.endpoint_id and d.id in (
          select c.id from ${endpoint} w cross join lateral (
            select d.id from ${delivery} d
            where ${isReady(now)} and ${none(sql`p.record_id = d.record_id`)} and ${none(sql`p.record_id is null and p.object = d.object`)}
              and (d.record_id is not null or ${none(sql`p.object = d.object`)})
            order by d.next_attempt_at, d.event_seq limit ${most}::integer for update of d skip locked) c
          limit ${limit}::integer)
        returning ${DELIVERY}, d.attempt, d.asked_at, w.url, w.permission_sets, w.failures, w.secret,
          case when w.former_until > ${now}::timestamptz then w.former_secret end as former_secret`,
  );
  return claimed.map(toClaimed).sort((a, b) => a.seq - b.seq);
}

/** The boundary for claimed rows. */
function toClaimed(row: Record<string, unknown>): ClaimedWebhook {
  return {
    ...toDelivery(row),
    attempt: Number(row['attempt']),
    eventId: String(row['event_id']),
    askedAt: toRfc3339(String(row['asked_at'])),
    url: String(row['url']),
    permissionSets: texts(row['permission_sets']),
    failures: Number(row['failures']),
    secrets: [row['secret'], row['former_secret']].filter((secret) => Buffer.isBuffer(secret)),
  };
}

export interface WebhookOutcome {
  readonly state: WebhookDeliveryState;
  readonly at: Instant;
  readonly status: number | null;
  readonly error: string | null;
  /** For `queued`: when to try again. */
  readonly nextAttemptAt?: Instant;
}

/** Writes what became of an attempt, unless the attempt is no longer ours. */
export async function finishWebhook(tx: Knex.Transaction, id: string, attempt: number, outcome: WebhookOutcome): Promise<boolean> {
  const finishedAt = outcome.state === 'queued' ? null : outcome.at;
  const touched = await run(
    tx,
    sql`update ${platformTable(tx, 'webhook_delivery')} set state = ${outcome.state}, status = ${outcome.status}::integer, last_error = ${outcome.error}, lease_until = null,
          finished_at = ${finishedAt}::timestamptz, next_attempt_at = ${outcome.nextAttemptAt ?? outcome.at}::timestamptz
        where id = ${id}::uuid and attempt = ${attempt}::integer and state = 'queued'`,
  );
  return touched === 1;
}

/** Notes that an endpoint answered (null), or that it did not and is left alone until then. */
export async function noteEndpoint(tx: Knex.Transaction, id: string, pausedUntil: Instant | null): Promise<void> {
  const table = platformTable(tx, 'webhook_endpoint');
  if (pausedUntil === null) await run(tx, sql`update ${table} set failures = 0, paused_until = null where id = ${id}::uuid and failures > 0`);
  else await run(tx, sql`update ${table} set failures = failures + 1, paused_until = ${pausedUntil}::timestamptz where id = ${id}::uuid`);
}

/** Ends due deliveries in a sandbox. */
export async function captureWebhooks(tx: Knex.Transaction, now: Instant, limit: number): Promise<number> {
  const table = platformTable(tx, 'webhook_delivery');
  return run(
    tx,
    sql`update ${table} set state = 'captured', attempt = attempt + 1, finished_at = ${now}::timestamptz, lease_until = null
        where id in (select id from ${table} where state = 'queued' and next_attempt_at <= ${now}::timestamptz order by event_seq limit ${limit}::integer for update skip locked)`,
  );
}

/** Deliveries to an endpoint, newest event first, of one state if one is given, older than `before` if given. */
export async function deliveriesTo(
  db: Knex,
  endpoint: string,
  { state, before, limit = 200 }: { readonly state: WebhookDeliveryState | null; readonly before: number | null; readonly limit?: number },
): Promise<readonly WebhookDelivery[]> {
  const wanted = sql`d.endpoint_id = ${endpoint}::uuid and (${state}::text is null or d.state = ${state}) and (${before}::bigint is null or d.event_seq < ${before}::bigint)`;
  return (
    await rows(db, sql`select ${DELIVERY} from ${platformTable(db, 'webhook_delivery')} d where ${wanted} order by d.event_seq desc limit ${limit}::integer`)
  ).map(toDelivery);
}

/** Sends again what ended; its identifier stays. Answers whether there was such a delivery. */
export async function askAgain(tx: Knex.Transaction, endpoint: string, id: string, now: Instant): Promise<boolean> {
  const touched = await run(
    tx,
    sql`update ${platformTable(tx, 'webhook_delivery')} set ${begunAnew(now)} where id = ${id}::uuid and endpoint_id = ${endpoint}::uuid and state <> 'queued'`,
  );
  return touched === 1;
}

/** What a delivery begins anew with. */
function begunAnew(now: Instant): Sql {
  return sql`state = 'queued', tries = 0, asked_at = ${now}::timestamptz, next_attempt_at = ${now}::timestamptz, lease_until = null, finished_at = null`;
}

/** Asks for all handled events from a place on that an endpoint is told of, also those that it got; answers how many. What waits already is left as it is. */
export async function replayFrom(tx: Knex.Transaction, endpoint: string, seq: number, now: Instant): Promise<number> {
  return run(
    tx,
    sql`insert into ${platformTable(tx, 'webhook_delivery')} as d (endpoint_id, event_id, event_seq, object, record_id, kind, state, asked_at, next_attempt_at, created_at)
        select w.id, e.id, e.seq, e.object, e.record_id, e.kind, 'queued', ${now}::timestamptz, ${now}::timestamptz, ${now}::timestamptz
        from ${platformTable(tx, 'webhook_endpoint')} w join ${platformTable(tx, 'event_log')} e on e.object = any(w.objects) and e.kind = any(w.kinds)
        where w.id = ${endpoint}::uuid and e.seq >= ${seq}::bigint
        on conflict (endpoint_id, event_id) do update set ${begunAnew(now)} where d.state <> 'queued'`,
  );
}
