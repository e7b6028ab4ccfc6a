import type { Knex } from 'knex';

/** Saved views change under If-Match, and their owner has each name once an object. */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  alter table saved_view add column version integer not null default 1;
  create unique index saved_view_name on saved_view (object, owner_id, name);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
