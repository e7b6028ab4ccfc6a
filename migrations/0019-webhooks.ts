import type { Knex } from 'knex';

/**
 * Addresses that events are sent to, and what was or is to be sent to each; a row per event is made in the transaction that closes the event
 * (src/platform/jobs/events.ts). `tries` counts since the delivery was last asked for, `attempt` for ever: it is what an outcome is fenced by.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table webhook_endpoint (
    id uuid primary key, name text not null, url text not null, objects text[] not null, kinds text[] not null, permission_sets text[] not null,
    secret bytea not null, former_secret bytea, former_until timestamptz(3), is_active boolean not null default true, inactive_reason text,
    failures integer not null default 0, paused_until timestamptz(3), created_at timestamptz(3) not null, created_by text not null);
  create table webhook_delivery (
    id uuid primary key default gen_random_uuid(), endpoint_id uuid not null references webhook_endpoint on delete cascade,
    event_id uuid not null, event_seq bigint not null, object text collate "C" not null, record_id uuid, kind text not null,
    state text not null check (state in ('queued', 'delivered', 'dead', 'skipped', 'captured')), attempt integer not null default 0, tries integer not null default 0,
    asked_at timestamptz(3) not null, next_attempt_at timestamptz(3) not null, lease_until timestamptz(3), status integer, last_error text,
    created_at timestamptz(3) not null, finished_at timestamptz(3), unique (endpoint_id, event_id));
  create index webhook_delivery_due on webhook_delivery (endpoint_id, next_attempt_at, event_seq) where state = 'queued';
  create index webhook_delivery_record on webhook_delivery (endpoint_id, record_id, event_seq) where state = 'queued';
  create index webhook_delivery_listed on webhook_delivery (endpoint_id, event_seq);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
