import type { Knex } from 'knex';

/**
 * The text of a rule that a run began with, runs of changes to many records apart from those of one, budgets of rules, and events that could
 * not be handled. The tables are new. The columns have constant defaults, so no row is written; the index holds ready runs of single changes
 * only, of which there are few. Only the worker writes runs, and it waits while the table is read once for the index (a million rows: about a
 * second). The release before makes runs without a definition, which are done by the rule in force, as it did them.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table rule_definition (
    hash text collate "C" primary key, rule_id text not null, content jsonb not null, at timestamptz(3) not null);
  create table rule_budget (
    rule_id text collate "C" not null, hour timestamptz(3) not null, started integer not null, primary key (rule_id, hour));
  create table stopped_event (
    event_id uuid primary key, object text collate "C" not null, record_id uuid, records integer not null, kind text not null,
    tries integer not null, error text not null, stopped_at timestamptz(3) not null,
    decision text check (decision in ('replayed', 'passed')), decided_by text collate "C", decided_at timestamptz(3));
  create index stopped_event_open on stopped_event (stopped_at desc) where decision is null;
  alter table rule_run add column definition text collate "C", add column lane smallint not null default 0, add column parallel boolean not null default false;
  create index rule_run_single on rule_run (due_at, seq) where state = 'ready' and lane = 0;
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
