import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { RuleFile } from '../metadata/types.ts';
import type { NewRun } from './runs.sql.ts';
import type { CompiledRule } from './types.ts';

/** Keeps the texts of rules that runs are going to begin with; those that are kept already stay. */
export async function keepDefinitions(tx: Knex.Transaction, rules: Iterable<CompiledRule>, now: Instant): Promise<void> {
  const input = [...rules].map(({ id, definition, file }) => ({ hash: definition, rule_id: id, content: file }));
  if (input.length === 0) return;
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'rule_definition')} (hash, rule_id, content, at)
        select hash, rule_id, content, ${now}::timestamptz from jsonb_to_recordset(${JSON.stringify(input)}::jsonb) as d(hash text, rule_id text, content jsonb)
        order by hash on conflict do nothing`,
  );
}

/** The texts that some runs began with, by their hashes. Reads only. */
export async function loadDefinitions(db: Knex, hashes: readonly string[]): Promise<ReadonlyMap<string, RuleFile>> {
  const found = await rows(db, sql`select hash, content from ${platformTable(db, 'rule_definition')} where hash = any(${[...hashes]}::text[])`);
  return new Map(found.map((row) => [String(row['hash']), row['content'] as RuleFile]));
}

/** The runs with those put into quarantine that are more than their rule may start in an hour. */
export async function withinBudgets(tx: Knex.Transaction, runs: readonly NewRun[], now: Instant): Promise<readonly NewRun[]> {
  const asking = runs.filter((entry) => entry.state === 'ready' && entry.limits.budget !== null);
  if (asking.length === 0) return runs;
  const wanted = new Map<string, number>();
  for (const { ruleId } of asking) wanted.set(ruleId, (wanted.get(ruleId) ?? 0) + 1);
  const hour = `${now.slice(0, 13)}:00:00.000Z`;
  const budgets = platformTable(tx, 'rule_budget');
  const input = [...wanted].map(([ruleId, count]) => ({ rule_id: ruleId, started: count }));
  await run(tx, sql`delete from ${budgets} where rule_id = any(${[...wanted.keys()]}::text[]) and hour < ${hour}::timestamptz - interval '1 day'`);
  const found = await rows(
    tx,
    sql`insert into ${budgets} as b (rule_id, hour, started)
        select rule_id, ${hour}::timestamptz, started from jsonb_to_recordset(${JSON.stringify(input)}::jsonb) as w(rule_id text, started integer) order by rule_id
        on conflict (rule_id, hour) do update set started = b.started + excluded.started returning rule_id, started`,
  );
  /** How many each rule had started in this hour before these. */
  const started = new Map(found.map((row) => [String(row['rule_id']), Number(row['started']) - (wanted.get(String(row['rule_id'])) ?? 0)]));
  return runs.map((entry) => {
    const { budget } = entry.limits;
    if (entry.state !== 'ready' || budget === null) return entry;
    const count = (started.get(entry.ruleId) ?? 0) + 1;
    started.set(entry.ruleId, count);
    if (count <= budget) return entry;
    const reason = `The rule may start ${String(budget)} runs an hour and has started them since ${hour}. Look for what starts it, then replay this run.`;
    return { ...entry, state: 'quarantined', trace: { ...entry.trace, reason } };
  });
}

/** Ends new runs that give way to one that waits or is under way, and runs that wait and give way to a new one, as their rules say. */
export async function giveWay(tx: Knex.Transaction, runs: readonly NewRun[], now: Instant): Promise<void> {
  const keysOf = (mode: NewRun['limits']['concurrency']): readonly string[] =>
    runs.filter((entry) => entry.state === 'ready' && entry.limits.concurrency === mode).map(({ runKey }) => runKey);
  const [yielding, replacing] = [keysOf('skip-if-running'), keysOf('replace')];
  const table = platformTable(tx, 'rule_run');
  const isSame = sql`o.rule_id = n.rule_id and o.state = 'ready' and (o.record_id = n.record_id or (o.record_id is null and n.record_id is null))`;
  const end = (reason: string) => sql`state = 'skipped', finished_at = ${now}::timestamptz, trace = trace || ${JSON.stringify({ reason })}::jsonb`;
  if (yielding.length > 0)
    await run(
      tx,
      sql`update ${table} n set ${end('Another run of this rule for this record waits or is under way, and the rule skips what comes meanwhile.')}
          where n.run_key = any(${yielding}::text[]) and n.state = 'ready' and exists (select from ${table} o where ${isSame} and o.seq < n.seq)`,
    );
  if (replacing.length > 0)
    await run(
      tx,
      sql`update ${table} set ${end('A later run of this rule for this record took its place.')}
          where id in (select o.id from ${table} n join ${table} o on ${isSame} and o.seq < n.seq where n.run_key = any(${replacing}::text[]) for update of o skip locked)`,
    );
}
