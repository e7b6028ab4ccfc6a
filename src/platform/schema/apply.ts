import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { SQLSTATE, sqlState } from '../db.ts';
import { AppError } from '../errors.ts';
import { keyword, platformTable, rows, run, schemaOf, sql } from '../sql.ts';
import { writePhysicalNames } from './catalogue.sql.ts';
import type { HeldLease } from './lease.sql.ts';
import type { SchemaPlan, SchemaStep } from './types.ts';

const LOCK_TIMEOUT_MS = 200;
const PAUSE_MS = 150;
const GIVE_UP_MS = 300_000;

/** The error for a plan that holds refused steps: it names them all. */
export function refusedPlan(plan: SchemaPlan): AppError | null {
  const refused = plan.steps.filter((step) => step.class === 'refused' || step.class === 'destructive' || step.class === 'backfill');
  if (refused.length === 0) return null;
  const errors = refused.map((step) => ({
    pointer: `/steps/${String(plan.steps.indexOf(step))}`,
    code: 'refused',
    detail: step.description,
    ...(step.fix === undefined ? {} : { fix: step.fix }),
  }));
  return new AppError('schema_refused', refused.map((step) => step.description).join(' '), { errors });
}

/**
 * Carries out the steps of a plan, each in the smallest transaction that it allows, and records each. A step whose
 * transaction did not commit left nothing behind, so planning again resumes a killed run. Writes.
 * @throws AppError schema_refused for a plan with refused steps, conflict_state when a lock is not had in five minutes
 */
export async function applyPlan(db: Knex, clock: Clock, plan: SchemaPlan, lease: HeldLease): Promise<void> {
  const refused = refusedPlan(plan);
  if (refused !== null) throw refused;
  for (const [ordinal, step] of plan.steps.entries()) {
    if (step.sql.length === 0) continue;
    await lease.renew(db);
    await withLockRetry(db, step, () => (step.isTransactional ? runInTransaction(db, clock, plan, step, ordinal) : runAlone(db, clock, plan, step, ordinal)));
  }
}

async function runInTransaction(db: Knex, clock: Clock, plan: SchemaPlan, step: SchemaStep, ordinal: number): Promise<void> {
  await db.transaction(async (tx) => {
    await run(tx, sql`select set_config('lock_timeout', ${`${String(LOCK_TIMEOUT_MS)}ms`}, true), set_config('statement_timeout', '0', true)`);
    for (const statement of step.sql) await run(tx, keyword(statement));
    await writePhysicalNames(
      tx,
      step.records.flatMap((id) => plan.physical.get(id) ?? []),
    );
    await recordStep(tx, clock, plan, step, ordinal, 'done');
  });
}

/** Statements that PostgreSQL runs only outside a transaction, on one connection. An invalid index that is left over is dropped by the next plan. */
async function runAlone(db: Knex, clock: Clock, plan: SchemaPlan, step: SchemaStep, ordinal: number): Promise<void> {
  await recordStep(db, clock, plan, step, ordinal, 'running');
  const connection: unknown = await db.client.acquireConnection();
  const alone = (text: string): Promise<unknown> => db.raw<unknown>(text).connection(connection).then();
  const [before] = await rowsOn(db, connection, `select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`);
  try {
    await alone(`select set_config('lock_timeout', '60s', false), set_config('statement_timeout', '0', false)`);
    for (const statement of step.sql) await alone(statement);
  } finally {
    await db
      .raw(`select set_config('lock_timeout', ?, false), set_config('statement_timeout', ?, false)`, [String(before?.['lock']), String(before?.['statement'])])
      .connection(connection);
    await db.client.releaseConnection(connection);
  }
  await recordStep(db, clock, plan, step, ordinal, 'done');
}

async function rowsOn(db: Knex, connection: unknown, text: string): Promise<Record<string, unknown>[]> {
  const answer = await db.raw<{ rows: Record<string, unknown>[] }>(text).connection(connection);
  return answer.rows;
}

async function recordStep(db: Knex, clock: Clock, plan: SchemaPlan, step: SchemaStep, ordinal: number, state: 'running' | 'done'): Promise<void> {
  const now = clock.now();
  const finished = state === 'done' ? sql`${now}::timestamptz` : keyword('null');
  await run(
    db,
    sql`insert into ${platformTable(db, 'schema_step')} (plan_hash, ordinal, class, description, state, started_at, finished_at)
        values (${plan.hash}, ${ordinal}, ${step.class}, ${step.description}, ${state}, ${now}::timestamptz, ${finished})
        on conflict (plan_hash, ordinal) do update set state = excluded.state, finished_at = excluded.finished_at`,
  );
}

async function withLockRetry(db: Knex, step: SchemaStep, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      const state = sqlState(error);
      if (state !== SQLSTATE.lockNotAvailable && state !== SQLSTATE.deadlockDetected) throw error;
      if (performance.now() - start > GIVE_UP_MS)
        throw new AppError('conflict_state', `"${step.description}" waits for a lock that others do not give up. ${await blockers(db)}`, { cause: error });
      await delay(PAUSE_MS);
    }
  }
}

/** Who holds locks on tables of this schema, for the message of a step that gave up. */
async function blockers(db: Knex): Promise<string> {
  const found = await rows(
    db,
    sql`select distinct a.pid, a.state, left(a.query, 80) as query from pg_catalog.pg_locks l
        join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_stat_activity a on a.pid = l.pid
        where c.relnamespace = ${schemaOf(db)}::regnamespace and l.granted and a.pid <> pg_backend_pid() limit 5`,
  );
  return found.map((row) => `Process ${String(row['pid'])} (${String(row['state'])}): ${String(row['query'])}.`).join(' ');
}
