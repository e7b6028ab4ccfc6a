import type { Knex } from 'knex';
import { keyword, run, sql } from '../../src/platform/sql.ts';

/**
 * Puts the history of a database back to what it was before there were partitions by year (migrations/0001), with rows spread over some days; the migration
 * is to be carried out again.
 */
export async function oldHistory(db: Knex, count: number, firstDay: string, days: number): Promise<void> {
  await run(db, sql`delete from credenza.migration where name = '0017-history-by-year'`);
  await run(db, sql`drop table credenza.record_history, credenza.history_split`);
  await run(
    db,
    sql`create table credenza.record_history (
      id bigint generated always as identity, object_id text collate "C" not null, record_id uuid not null,
      version integer not null, kind text not null, at timestamptz(3) not null,
      recorded_at timestamptz(3) not null default clock_timestamp(), actor text not null, cause jsonb not null, reason text,
      changes jsonb not null, primary key (id, recorded_at)) partition by range (recorded_at)`,
  );
  await run(db, sql`create table credenza.record_history_default partition of credenza.record_history default`);
  await run(
    db,
    sql`insert into credenza.record_history (object_id, record_id, version, kind, at, actor, cause, changes)
        select 'thing', md5((n % (${count}::bigint / 20))::text)::uuid, n / (${count}::bigint / 20) + 1, 'updated',
          ${firstDay}::timestamptz + (n - 1) * (interval '${keyword(String(days))} days' / ${count}::bigint), 'system:test', '{"kind": "command", "name": "test"}',
          jsonb_build_object('field', jsonb_build_array('The value that was before ' || n, 'The value that came in ' || n))
        from generate_series(1, ${count}::bigint) as n`,
  );
  await run(db, sql`create index record_history_record on credenza.record_history (record_id, version desc)`);
  await run(db, sql`vacuum (analyze) credenza.record_history`);
}
