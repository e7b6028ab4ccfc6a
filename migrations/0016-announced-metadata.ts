import type { Knex } from 'knex';

/** The version of the metadata that comes next: processes compile it beforehand and say so, then it is put in force. */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table metadata_announced (id uuid primary key, version integer not null, hash text not null, content json not null, names json not null);
  alter table metadata_version add column announcement uuid;
  alter table process add column ready uuid;
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
