import type { Knex } from 'knex';

/**
 * Records that were merged into another one, with all that it takes to part them again: what the survivor got, which
 * references and rows of the platform's own were moved.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table record_merge (
    id uuid primary key, object text collate "C" not null, survivor_id uuid not null, survivor_version integer not null,
    at timestamptz(3) not null, actor text not null, reason text, changed jsonb not null, moved jsonb not null, pointers jsonb not null,
    undone_at timestamptz(3), undone_by text, undone_version integer);
  create index record_merge_survivor on record_merge (survivor_id, at);
  create table record_merge_source (
    merge_id uuid not null references record_merge, source_id uuid not null, version integer not null, primary key (merge_id, source_id));
  create index record_merge_source_record on record_merge_source (source_id);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
