import type { Knex } from 'knex';

/** What waits to be folded into hot roll-ups, and how far each stored value that follows from others is filled and checked. */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table rollup_delta (
    id bigint generated always as identity primary key, field_id text collate "C" not null, record_id uuid not null, amount numeric not null)
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000);
  create index rollup_delta_record on rollup_delta (field_id, record_id) include (amount);
  create table derived_field (
    field_id text collate "C" primary key, definition text not null, state text not null check (state in ('filling', 'filled')),
    after_id uuid, records bigint not null default 0, drifted bigint not null default 0,
    next_check timestamptz(3) not null, checked_at timestamptz(3), checked_records bigint, checked_drift bigint);
  create table derived_drift (
    id bigint generated always as identity primary key, field_id text collate "C" not null, record_id uuid not null,
    stored text, computed text, found_at timestamptz(3) not null);
  create index derived_drift_found on derived_drift (field_id, found_at);
  `);
}
