import type { Knex } from 'knex';

/**
 * What went to the trash with a record, and which references to it were cleared: restoring the record brings both back.
 * `version` is the other record's after that, `root_version` that of the record in the trash.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table trash_relation (
    root_id uuid not null, root_version integer not null, object text collate "C" not null, record_id uuid not null, version integer not null,
    field_id text collate "C", primary key (root_id, root_version, record_id, version));
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
