import type { Knex } from 'knex';

/**
 * How PostgreSQL tidies up after writes, by table: a twentieth of a record table that changed is vacuumed, where the default waits for a fifth;
 * tables that rows pass through, after a thousand. New words wait in a short list of the search index, which every search reads through
 * (quality.md, 5). Nobody who reads or writes waits for the tables, a running vacuum gives way after a second; the index comes last, for it is
 * taken from everybody until the end, and what does not get it in 200 ms is done anew (src/platform/schema/migrate.ts).
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  select set_config('lock_timeout', '60s', true);
  do $upkeep$
  declare one regclass;
  begin
    for one in select oid::regclass from pg_catalog.pg_class where relnamespace = current_schema()::regnamespace and reloptions @> array['fillfactor=90'] loop
      execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)', one);
    end loop;
  end $upkeep$;
  alter table search_entry set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
  alter table event set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000);
  alter table event_member set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000);
  select set_config('lock_timeout', '200ms', true);
  alter index search_entry_keys set (gin_pending_list_limit = 256);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
