import type { Knex } from 'knex';

/**
 * What a mail belongs to besides the record that it is about (a campaign), by which mails are held, counted and listed; and the
 * holds. The new columns have no value in old rows, so that nothing is rewritten and the index begins empty; the release before
 * writes them nowhere and goes on.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  alter table mail_delivery
    add column group_object text, add column group_id uuid, add column complained_at timestamptz(3), add column paced_at timestamptz(3);
  create index mail_delivery_group on mail_delivery (group_id, created_at) where group_id is not null;
  create table mail_hold (
    id uuid primary key, object text not null, record_id uuid not null, kind text not null check (kind in ('state', 'health', 'person')),
    reason text not null, at timestamptz(3) not null, actor text collate "C" not null, released_at timestamptz(3), released_by text collate "C");
  create unique index mail_hold_open on mail_hold (object, record_id, kind) where released_at is null;
  create index mail_hold_record on mail_hold (record_id, at);
  create table mail_pace (
    domain text collate "C" primary key, next_at timestamptz(3) not null, day date not null, day_count integer not null);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
