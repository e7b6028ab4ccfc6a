import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { ident, joinSql, platformTable, rows, run, schemaOf, sql } from '../sql.ts';

/** Marks an otherwise fresh database as a sandbox; there is no way back. */
export async function markSandbox(tx: Knex): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'setting')} (key, value) values ('sandbox', 'true'::jsonb) on conflict (key) do update set value = excluded.value`,
  );
}

export interface LogLine {
  readonly at: Instant;
  readonly what: string;
  readonly record: string | null;
  readonly detail: string;
}

/** What rules and mail did in a span of time, in its order: the log whose hash a seed must repeat. Reads only. */
export async function readSimulationLog(db: Knex, from: Instant, to: Instant, afterLine: number, limit: number): Promise<readonly LogLine[]> {
  const found = await rows(
    db,
    sql`select at, what, record_id, detail from (
          select finished_at as at, 0 as part, seq, rule as what, record_id,
                 state || ' ' || coalesce((select string_agg((s.value->>'kind') || ':' || (s.value->>'outcome'), ',' order by s.ordinality) from jsonb_array_elements(trace->'steps') with ordinality s), '') as detail
            from ${platformTable(db, 'rule_run')} where finished_at between ${from}::timestamptz and ${to}::timestamptz
          union all
          select created_at, 1, row_number() over (order by created_at, template, recipient, id), 'mail ' || template, about_id, state || ' ' || recipient
            from ${platformTable(db, 'mail_delivery')} where created_at between ${from}::timestamptz and ${to}::timestamptz) as log
        order by at, part, seq offset ${afterLine} limit ${limit}`,
  );
  return found.map((row) => ({
    at: toRfc3339(String(row['at'])),
    what: String(row['what']),
    record: row['record_id'] === null ? null : String(row['record_id']),
    detail: String(row['detail']),
  }));
}

/** Tables that are written and emptied all the time, so that dead rows gather in them. */
const QUEUES = ['event', 'rule_run', 'rule_schedule', 'mail_delivery'];

/**
 * Does what the database's own upkeep does once a minute, or for all tables less often: a simulation lives through days in
 * a second, and looks at its queues at every moment.
 */
export async function tendTables(db: Knex, which: 'queues' | 'all'): Promise<void> {
  const schema = schemaOf(db);
  const names =
    which === 'queues'
      ? QUEUES
      : (await rows(db, sql`select tablename from pg_tables where schemaname = ${schema} order by tablename`)).map((row) => String(row['tablename']));
  await run(db, sql`vacuum (analyze) ${joinSql(names.map((name) => ident(schema, name)))}`);
}
