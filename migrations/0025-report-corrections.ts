import type { Knex } from 'knex';

/**
 * What a published report counted, record by record, and its corrections, each a version of its own beside the one that was
 * published. The release before goes on publishing without what was counted.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  alter table frozen_report add column facts jsonb;
  create table report_correction (
    id uuid primary key, report text not null, period text not null, version integer not null check (version > 1),
    body jsonb not null, facts jsonb not null, difference jsonb not null, sha256 text not null, reason text not null, corrected_by text not null,
    corrected_at timestamptz(3) not null, unique (report, period, version), foreign key (report, period) references frozen_report (report, period));
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
