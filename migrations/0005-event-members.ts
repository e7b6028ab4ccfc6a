import type { Knex } from 'knex';

/**
 * The records of events that stand for a block of them, one row each while the event is open: whether an earlier event of a
 * record is open is then one look into an index. Comparing lists of 5,000 ids took more than 30 s with forty such events
 * open beside 100,000 others.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table event_member (record_id uuid not null, seq bigint not null, primary key (record_id, seq));
  insert into event_member (record_id, seq) select distinct unnest(record_ids), seq from event where record_ids is not null;
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
