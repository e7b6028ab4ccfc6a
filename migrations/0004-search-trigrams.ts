import type { Knex } from 'knex';

/**
 * Search entries keep their words once, as trigrams: a word index of the same words found nothing that these do not, and
 * cost a tenth of every write (docs/adr/0003-search-by-trigrams.md).
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`drop index search_entry_document; alter table search_entry drop column document;`);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
