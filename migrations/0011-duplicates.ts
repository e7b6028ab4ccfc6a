import type { Knex } from 'knex';

/**
 * Duplicate rules: the keys of each record, the rows that two saves of the same key wait on, pairs that were found, and how
 * far the records that were there before a rule have been looked at.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table match_lock (key text collate "C" primary key);
  create table match_key (rule text collate "C" not null, key text collate "C" not null, record_id uuid not null, primary key (rule, key, record_id));
  create index match_key_record on match_key (record_id);
  create table duplicate_pair (
    id uuid primary key, object text collate "C" not null, rule text collate "C" not null, first_id uuid not null, second_id uuid not null,
    score numeric not null, state text not null default 'open' check (state in ('open', 'dismissed')), found_at timestamptz(3) not null,
    settled_at timestamptz(3), settled_by text, unique (rule, first_id, second_id));
  create index duplicate_pair_first on duplicate_pair (first_id);
  create index duplicate_pair_second on duplicate_pair (second_id);
  create table match_progress (rule text collate "C" primary key, after_id uuid, is_done boolean not null default false);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
