import type { Knex } from 'knex';
import { rows, sql, type Sql } from '../sql.ts';
import { whereSql, type Source } from './source.ts';
import type { ReadQuery } from './types.ts';

const CAP = 1_000;

export interface CountResult {
  readonly count?: number;
  readonly countIsCapped?: boolean;
  readonly countIsEstimate?: boolean;
}

/**
 * How many rows a read has, as exactly as asked for. Hidden rows never count.
 * @param mayGuess whether the planner's guess tells of nothing that is hidden
 */
export async function countRows(
  db: Knex,
  source: Source,
  conditions: readonly Sql[],
  kind: NonNullable<ReadQuery['count']>,
  mayGuess: boolean,
): Promise<CountResult> {
  switch (kind) {
    case 'none':
      return {};
    case 'exact':
      return { count: await exactCount(db, source, conditions) };
    case 'capped':
      return cappedCount(db, source, conditions);
    case 'estimate': {
      const capped = await cappedCount(db, source, conditions);
      if (capped.countIsCapped !== true || !mayGuess) return capped;
      return { count: Math.max(CAP, await estimateRows(db, source, conditions)), countIsEstimate: true };
    }
  }
}

async function exactCount(db: Knex, source: Source, conditions: readonly Sql[]): Promise<number> {
  const [row] = await rows(db, sql`select count(*) as n from ${source.from}${whereSql(source, conditions)}`);
  return Number(row?.['n'] ?? 0);
}

async function cappedCount(db: Knex, source: Source, conditions: readonly Sql[]): Promise<CountResult> {
  const [row] = await rows(db, sql`select count(*) as n from (select 1 from ${source.from}${whereSql(source, conditions)} limit ${CAP + 1}) as c`);
  const count = Number(row?.['n'] ?? 0);
  return count > CAP ? { count: CAP, countIsCapped: true } : { count, countIsCapped: false };
}

async function estimateRows(db: Knex, source: Source, conditions: readonly Sql[]): Promise<number> {
  const [row] = await rows(db, sql`explain (format json) select 1 from ${source.from}${whereSql(source, conditions)}`);
  const plan: unknown = row?.['QUERY PLAN'];
  const top: unknown = Array.isArray(plan) ? plan[0] : undefined;
  if (typeof top !== 'object' || top === null || !('Plan' in top)) return 0;
  const node: unknown = top.Plan;
  return typeof node === 'object' && node !== null && 'Plan Rows' in node ? Number(node['Plan Rows']) : 0;
}
