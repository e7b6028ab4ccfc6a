import type { Knex } from 'knex';
import { platformTable, rows, sql } from '../sql.ts';

/** What one version of a record changed, and what made it. */
export interface LaterChange {
  readonly recordId: string;
  readonly version: number;
  readonly kind: string;
  /** Field id -> [old, new]. */
  readonly changes: ReadonlyMap<string, readonly [unknown, unknown]>;
  /** Run of the rule that wrote it, or null. */
  readonly run: string | null;
  /** Import that wrote it, or null. */
  readonly job: string | null;
}

function readChanges(value: unknown): ReadonlyMap<string, readonly [unknown, unknown]> {
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).map(([id, pair]) => [id, Array.isArray(pair) ? [pair[0] ?? null, pair[1] ?? null] : [null, null]]));
}

/** History of records from given versions on, oldest first. One statement for any number of records. */
export async function historySince(
  db: Knex,
  records: readonly { readonly id: string; readonly version: number }[],
): Promise<ReadonlyMap<string, readonly LaterChange[]>> {
  if (records.length === 0) return new Map();
  const found = await rows(
    db,
    sql`select h.record_id, h.version, h.kind, h.changes, h.cause from unnest(${records.map(({ id }) => id)}::uuid[], ${records.map(({ version }) => version)}::integer[]) as w(id, version)
        join ${platformTable(db, 'record_history')} h on h.record_id = w.id and h.version >= w.version order by h.record_id, h.version`,
  );
  const byRecord = new Map<string, LaterChange[]>();
  for (const row of found) {
    const cause = new Map<string, unknown>(typeof row['cause'] === 'object' && row['cause'] !== null ? Object.entries(row['cause']) : []);
    const text = (name: string, kind: string): string | null => {
      const value = cause.get('kind') === kind ? cause.get(name) : null;
      return typeof value === 'string' ? value : null;
    };
    const recordId = String(row['record_id']);
    const change: LaterChange = {
      recordId,
      version: Number(row['version']),
      kind: String(row['kind']),
      changes: readChanges(row['changes']),
      run: text('run', 'rule'),
      job: text('job', 'import'),
    };
    byRecord.set(recordId, [...(byRecord.get(recordId) ?? []), change]);
  }
  return byRecord;
}

/** Which of these runs of rules go back, over whatever runs stand between, to an event that the import wrote. */
export async function runsOfImport(db: Knex, jobId: string, runs: readonly string[]): Promise<ReadonlySet<string>> {
  if (runs.length === 0) return new Set();
  const [run, event, log] = ['rule_run', 'event', 'event_log'].map((name) => platformTable(db, name));
  const found = await rows(
    db,
    sql`with recursive step (root, cause, depth) as (
          select w.id, c.cause, 0 from unnest(${[...runs]}::uuid[]) as w(id) join ${run} r on r.id = w.id
            cross join lateral (select cause from ${event} where id = r.event_id union all select cause from ${log} where id = r.event_id limit 1) as c
          union all
          select s.root, c.cause, s.depth + 1 from step s join ${run} r on s.cause ->> 'kind' = 'rule' and r.id = (s.cause ->> 'run')::uuid
            cross join lateral (select cause from ${event} where id = r.event_id union all select cause from ${log} where id = r.event_id limit 1) as c
            where s.depth < 16)
        select distinct root from step where cause ->> 'kind' = 'import' and cause ->> 'job' = ${jobId}`,
  );
  return new Set(found.map((row) => String(row['root'])));
}
