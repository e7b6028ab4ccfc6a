import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { keyword, platformTable, rows, run, sql, type Sql } from '../sql.ts';
import type { RuleFile } from '../metadata/types.ts';
import { giveWay, withinBudgets } from './run-limits.sql.ts';
import type { RuleRun, RunState, RunTrace } from './types.ts';

/** 0: runs of single changes; 1: of changes to many records at once. */
export type Lane = 0 | 1;

/** A run to be inserted; `runKey` decides that it happens once. */
export interface NewRun {
  readonly id: string;
  readonly runKey: string;
  readonly ruleId: string;
  readonly rule: string;
  readonly ruleVersion: number;
  readonly definition: string;
  readonly limits: { readonly concurrency: NonNullable<RuleFile['concurrency']>; readonly budget: number | null };
  /** 1 for one of many that a single cause starts: those of single changes do not wait behind it. */
  readonly lane: Lane;
  readonly eventId: string | null;
  readonly object: string | null;
  readonly recordId: string | null;
  readonly anchor: string | null;
  readonly state: RunState;
  readonly dueAt: Instant;
  readonly trace: RunTrace;
  readonly chain: RuleRun['chain'];
  readonly depth: number;
}

/** Inserts runs that do not exist yet, as far as their rules' budgets go, and answers how many did not. */
export async function insertRuns(tx: Knex.Transaction, wanted: readonly NewRun[], now: Instant): Promise<number> {
  if (wanted.length === 0) return 0;
  const runs = await withinBudgets(tx, wanted, now);
  const input = runs.map((entry) => ({
    id: entry.id,
    run_key: entry.runKey,
    rule_id: entry.ruleId,
    rule: entry.rule,
    rule_version: entry.ruleVersion,
    definition: entry.definition,
    lane: entry.lane,
    parallel: entry.limits.concurrency === 'parallel',
    event_id: entry.eventId,
    object: entry.object,
    record_id: entry.recordId,
    anchor: entry.anchor,
    state: entry.state,
    due_at: entry.dueAt,
    trace: entry.trace,
    cause: { chain: entry.chain },
    depth: entry.depth,
    finished_at: entry.state === 'ready' ? null : now,
  }));
  const columns = keyword(
    'id, run_key, rule_id, rule, rule_version, definition, lane, parallel, event_id, object, record_id, anchor, state, due_at, trace, cause, depth, finished_at',
  );
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'rule_run')} (${columns}, created_at)
        select ${columns}, ${now}::timestamptz from rows from (jsonb_to_recordset(${JSON.stringify(input)}::jsonb)
          as (id uuid, run_key text, rule_id text, rule text, rule_version integer, definition text, lane smallint, parallel boolean, event_id uuid, object text, record_id uuid, anchor text,
              state text, due_at timestamptz, trace jsonb, cause jsonb, depth integer, finished_at timestamptz)) with ordinality order by ordinality
        on conflict (run_key) do nothing`,
  );
  await giveWay(tx, runs, now);
  return inserted;
}

/**
 * Takes due runs, at most one of a record, and holds their rows until the transaction ends, which is the runs' own: a killed
 * worker leaves nothing behind and the runs are free again at once. Due runs of one record go one after the other in the order in which
 * they were made, and a run waits for an earlier one of its rule and record also while that one waits to be tried again:
 * a rule sees a record's events in their order. Other rules of the record do not wait for it. A run without a record is
 * taken alone, and so is one of a rule that `alone` names: no other waits for its end. All that are taken are of one lane, the
 * first of `lanes` that has any. A rule whose runs are parallel does not wait for its own that are to be tried again.
 */
export async function claimRuns(
  tx: Knex.Transaction,
  now: Instant,
  limit: number,
  alone: readonly string[],
  lanes: readonly Lane[] = [0, 1],
): Promise<readonly RuleRun[]> {
  for (const lane of lanes) {
    // Written out, for the index of single changes.
    const isOfLane = lane === 0 ? sql`r.lane = 0` : sql`r.lane = 1`;
    const [first] = await claimDue(tx, now, isOfLane, 1);
    if (first === undefined) continue;
    if (limit === 1 || first.recordId === null || alone.includes(first.ruleId)) return [first];
    const others = sql`${isOfLane} and r.id <> ${first.id}::uuid and r.record_id is not null and r.rule_id <> all(${[...alone]}::text[])`;
    return [first, ...(await claimDue(tx, now, others, limit - 1))];
  }
  return [];
}

async function claimDue(tx: Knex.Transaction, now: Instant, which: Sql, limit: number): Promise<readonly RuleRun[]> {
  const table = platformTable(tx, 'rule_run');
  const found = await rows(
    tx,
    sql`select r.* from ${table} r where r.state = 'ready' and r.due_at <= ${now}::timestamptz and ${which}
          and (r.record_id is null or not exists (
            select from ${table} p where p.record_id = r.record_id and p.state = 'ready' and p.seq < r.seq
              and ((p.rule_id = r.rule_id and not r.parallel) or (p.due_at <= ${now}::timestamptz and not exists (
                select from ${table} q where q.record_id = p.record_id and q.rule_id = p.rule_id and not p.parallel and q.state = 'ready'
                  and q.seq < p.seq and q.due_at > ${now}::timestamptz)))))
        order by r.due_at, r.seq limit ${limit}::int for update of r skip locked`,
  );
  return found.map(readRun);
}

/** Holds when some run is due. */
export function isRunDue(db: Knex, now: Instant): Sql {
  return sql`exists (select from ${platformTable(db, 'rule_run')} where state = 'ready' and due_at <= ${now}::timestamptz)`;
}

export interface EndedRun {
  readonly id: string;
  readonly state: Exclude<RunState, 'ready'>;
  readonly trace: RunTrace;
  readonly at: Instant;
}

/** Ends runs, in the transaction that holds their effects. */
export async function finishRuns(tx: Knex.Transaction, ended: readonly EndedRun[]): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'rule_run')} r set state = e.state, trace = e.trace, error = null, attempts = attempts + 1, finished_at = e.at
        from jsonb_to_recordset(${JSON.stringify(ended)}::jsonb) as e(id uuid, state text, trace jsonb, at timestamptz) where r.id = e.id and r.state = 'ready'`,
  );
}

/** Puts a run that failed back for later, or, with no time given, among the failed. Touches nothing when another attempt came first. */
export async function failRun(tx: Knex.Transaction, failed: RuleRun, error: string, retryAt: Instant | null, now: Instant): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'rule_run')} set attempts = attempts + 1, error = ${error}, state = ${retryAt === null ? 'failed' : 'ready'},
        due_at = ${retryAt ?? failed.dueAt}::timestamptz, finished_at = ${retryAt === null ? now : null}::timestamptz
        where id = ${failed.id}::uuid and state = 'ready' and attempts = ${failed.attempts}`,
  );
}

/** Makes failed or quarantined runs ready again; answers whether there was such a run. */
export async function readyAgain(tx: Knex.Transaction, id: string, now: Instant): Promise<boolean> {
  const touched = await run(
    tx,
    sql`update ${platformTable(tx, 'rule_run')} set state = 'ready', attempts = 0, error = null, due_at = ${now}::timestamptz, finished_at = null
        where id = ${id}::uuid and state in ('failed', 'quarantined')`,
  );
  return touched === 1;
}

export interface RunQuery {
  readonly ruleId?: string;
  readonly recordId?: string;
  readonly eventId?: string;
  readonly states?: readonly RunState[];
  readonly finishedFrom?: Instant;
  readonly limit: number;
}

/** States of runs that nobody but a person brings further. */
export const STRANDED_RUNS = ['failed', 'quarantined'] as const;

/** Most of what waits for a person that one list shows; what is settled leaves it. */
const MOST_SHOWN = 200;

/** Runs that wait for a person's decision, newest first: the last 200. Reads only. */
export function strandedRuns(db: Knex, states: readonly (typeof STRANDED_RUNS)[number][] = STRANDED_RUNS): Promise<readonly RuleRun[]> {
  return listRuns(db, { states, limit: MOST_SHOWN });
}

/** Runs, newest first. Reads only. */
export async function listRuns(db: Knex, query: RunQuery): Promise<readonly RuleRun[]> {
  const wanted: Sql[] = [sql`true`];
  if (query.ruleId !== undefined) wanted.push(sql`rule_id = ${query.ruleId}`);
  if (query.recordId !== undefined) wanted.push(sql`record_id = ${query.recordId}::uuid`);
  if (query.eventId !== undefined) wanted.push(sql`event_id = ${query.eventId}::uuid`);
  if (query.states !== undefined) wanted.push(sql`state = any(${[...query.states]}::text[])`);
  if (query.finishedFrom !== undefined) wanted.push(sql`finished_at >= ${query.finishedFrom}::timestamptz`);
  const where = wanted.reduce((all, part) => sql`${all} and ${part}`);
  const found = await rows(db, sql`select * from ${platformTable(db, 'rule_run')} where ${where} order by created_at desc, seq desc limit ${query.limit}`);
  return found.map(readRun);
}

export interface OnceMark {
  readonly keys: readonly string[];
  readonly recordId: string | null;
  readonly at: Instant;
}

/** Remembers under each of the keys of a mark that it was done; false for a mark that had been before, under any of them. Equal marks follow each other. */
export async function markOnce(tx: Knex.Transaction, marks: readonly OnceMark[]): Promise<readonly boolean[]> {
  const wanted = marks.flatMap(({ keys, recordId, at }) => keys.map((key) => ({ key, record_id: recordId, at })));
  const found = await rows(
    tx,
    sql`insert into ${platformTable(tx, 'step_once')} (key, record_id, at)
        select key, record_id, at from jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as k(key text, record_id uuid, at timestamptz) on conflict do nothing returning key`,
  );
  const free = new Set(found.map((row) => String(row['key'])));
  return marks.map(({ keys }) => {
    const isFirst = keys.every((key) => free.has(key));
    for (const key of keys) free.delete(key);
    return isFirst;
  });
}

/** Before-images of logged events that have one, by event. Reads only. */
export async function beforeImages(db: Knex, eventIds: readonly string[]): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  const found = await rows(db, sql`select id, before from ${platformTable(db, 'event_log')} where id = any(${[...eventIds]}::uuid[]) and before is not null`);
  return new Map(found.map((row) => [String(row['id']), row['before'] as Readonly<Record<string, unknown>>]));
}

/** The earliest thing that becomes due after `after`: an event put back, a run, an occurrence, a mail. Reads only. */
export async function nextDueAfter(db: Knex, after: Instant): Promise<Instant | null> {
  const [found] = await rows(
    db,
    sql`select min(due) as due from (
          select min(lease_until) as due from ${platformTable(db, 'event')} where lease_until > ${after}::timestamptz and lease_until < 'infinity'
          union all select min(due_at) from ${platformTable(db, 'rule_run')} where state = 'ready' and due_at > ${after}::timestamptz
          union all select min(next_due) from ${platformTable(db, 'rule_schedule')} where next_due > ${after}::timestamptz
          union all select nullif(min(greatest(next_attempt_at, coalesce(lease_until, next_attempt_at))), 'infinity') from ${platformTable(db, 'mail_delivery')}
            where state in ('queued', 'sending') and greatest(next_attempt_at, coalesce(lease_until, next_attempt_at)) > ${after}::timestamptz) as all_due`,
  );
  const due = found?.['due'];
  return typeof due === 'string' ? toRfc3339(due) : null;
}

/** The boundary where a row of `rule_run` becomes typed. */
export function readRun(row: Record<string, unknown>): RuleRun {
  const cause = row['cause'] as { readonly chain?: RuleRun['chain'] };
  return {
    id: String(row['id']),
    seq: String(row['seq']),
    runKey: String(row['run_key']),
    ruleId: String(row['rule_id']),
    rule: String(row['rule']),
    ruleVersion: Number(row['rule_version']),
    definition: row['definition'] as string | null,
    eventId: row['event_id'] as string | null,
    object: row['object'] as string | null,
    recordId: row['record_id'] as string | null,
    anchor: row['anchor'] as string | null,
    state: row['state'] as RunState,
    dueAt: toRfc3339(String(row['due_at'])),
    attempts: Number(row['attempts']),
    error: row['error'] as string | null,
    trace: row['trace'] as RunTrace,
    chain: cause.chain ?? [],
    depth: Number(row['depth']),
    createdAt: toRfc3339(String(row['created_at'])),
    finishedAt: row['finished_at'] === null ? null : toRfc3339(String(row['finished_at'])),
  };
}
