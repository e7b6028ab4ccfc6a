import type { Knex } from 'knex';

/**
 * History by the time of the change (`at`), which the clock tells that also dates the records, so that what a record's own dates bound is in
 * few partitions. Nothing is moved here: the rows that exist stay where they are, as the default partition of the new table, and the worker
 * moves them into partitions by year (src/platform/schema/history-years.ts). What is held locked is held for milliseconds.
 *
 * The table has no primary key: an attached table would need an index of it first, and nobody looks for a version by its number. The default
 * partition keeps the one that it has; it puts the rows in order while they are moved.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  do $migration$
  begin
    -- Keeps vacuum away, which would hold the lock below for minutes; a running one gives way. Nobody else waits for this.
    perform set_config('lock_timeout', '60s', true);
    lock table only record_history_default in share update exclusive mode;
    perform set_config('lock_timeout', '200ms', true);
    for attempt in 1..600 loop
      begin
        lock table record_history in access exclusive mode;
        exit;
      exception when lock_not_available then
        if attempt = 600 then raise; end if;
        perform pg_sleep(0.3);
      end;
    end loop;
  end $migration$;
  alter table record_history detach partition record_history_default;
  drop table record_history;
  create table record_history (
    id bigint generated always as identity, object_id text collate "C" not null, record_id uuid not null,
    version integer not null, kind text not null, at timestamptz(3) not null,
    recorded_at timestamptz(3) not null default clock_timestamp(), actor text not null, cause jsonb not null, reason text,
    changes jsonb not null) partition by range (at);
  create index record_history_record on record_history (record_id, version desc);
  alter table record_history attach partition record_history_default default;
  select setval(pg_get_serial_sequence('record_history', 'id'), coalesce((select max(id) from record_history_default), 0) + 1, false);

  -- A new database begins with this year and the next; otherwise the worker makes them when the rows are moved.
  do $years$
  declare year integer := extract(year from clock_timestamp() at time zone 'UTC');
  begin
    if exists (select from record_history_default) then return; end if;
    for part in year .. year + 1 loop
      execute format('create table record_history_%s partition of record_history for values from (%L) to (%L)',
        part, part || '-01-01T00:00:00Z', (part + 1) || '-01-01T00:00:00Z');
    end loop;
  end $years$;

  create table history_split (
    one boolean primary key default true check (one),
    known_to bigint not null default 0, copied_to bigint not null default 0, copied_rows bigint not null default 0);
  insert into history_split default values;
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
