import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { inOwnSession, SQLSTATE, sqlState } from '../db.ts';
import { AppError } from '../errors.ts';
import { ident, keyword, platformTable, rows, run, schemaOf, sql } from '../sql.ts';
import { runStatements, shortLocks, type Applying } from './applying.ts';
import { carryOut } from './fill.ts';
import { forget, writePhysicalNames } from './names.sql.ts';
import type { SchemaPlan, SchemaStep } from './types.ts';

const FIRST_PAUSE_MS = 150;
const LONGEST_PAUSE_MS = 2_000;
const GIVE_UP_MS = 300_000;

/** The error for a plan that holds refused steps: it names them all. */
export function refusedPlan(plan: SchemaPlan): AppError | null {
  const refused = plan.steps.filter((step) => step.class === 'refused');
  if (refused.length === 0) return null;
  const errors = refused.map((step) => ({
    pointer: `/steps/${String(plan.steps.indexOf(step))}`,
    code: 'refused',
    detail: `${step.description}${recordWords(step)}`,
    ...(step.fix === undefined ? {} : { fix: step.fix }),
  }));
  return new AppError('schema_refused', refused.map((step) => step.description).join(' '), { errors });
}

function recordWords(step: SchemaStep): string {
  const records = step.findings?.flatMap((finding) => finding.records) ?? [];
  return records.length === 0 ? '' : ` Among them: ${records.join(', ')}.`;
}

/**
 * Carries out the steps of one time, each in the smallest transaction that it allows, and records each. A step whose
 * transaction did not commit left nothing behind, so planning again resumes a killed run. Writes.
 * @throws AppError conflict_state when a lock is not had in five minutes, schema_refused when the data stands in the way
 */
export async function runSteps(applying: Applying, time: 'before' | 'after'): Promise<void> {
  const { db, lease, faults, planned } = applying;
  for (const [ordinal, step] of planned.plan.steps.entries()) {
    if (step.time !== time || (step.sql.length === 0 && step.fill === undefined && step.forgets === undefined)) continue;
    await lease.renew(db);
    faults('schema.before_step');
    await withLockRetry(db, step, () => runStep(applying, step, ordinal));
    faults('schema.after_step');
  }
}

async function runStep(applying: Applying, step: SchemaStep, ordinal: number): Promise<void> {
  try {
    if (step.fill !== undefined) await carryOut(applying, step, step.fill, (tx) => recordStep(tx, applying, step, ordinal, 'done'));
    else if (step.isRepeated === true) await runRepeated(applying, step, ordinal);
    else if (step.isTransactional) await runTogether(applying, step, ordinal);
    else await runAlone(applying, step, ordinal);
  } catch (error) {
    throw await explain(applying.db, step, error);
  }
}

async function runTogether(applying: Applying, step: SchemaStep, ordinal: number): Promise<void> {
  await applying.db.transaction(async (tx) => {
    await shortLocks(tx);
    await runStatements(tx, step);
    await writePhysicalNames(
      tx,
      step.records.flatMap((id) => applying.planned.plan.physical.get(id) ?? []),
    );
    await forget(tx, step.forgets ?? []);
    await recordStep(tx, applying, step, ordinal, 'done');
  });
}

/** Statements that touch a bounded number of rows each time, until there are none left. */
async function runRepeated(applying: Applying, step: SchemaStep, ordinal: number): Promise<void> {
  for (const statement of step.sql) {
    let touched = 1;
    while (touched > 0) {
      touched = await applying.db.transaction(async (tx) => {
        await shortLocks(tx);
        return run(tx, keyword(statement));
      });
      await applying.lease.renew(applying.db);
    }
  }
  await recordStep(applying.db, applying, step, ordinal, 'done');
}

/**
 * Statements that PostgreSQL runs only outside a transaction, on one connection. They wait for others without keeping
 * anybody waiting. An invalid index that is left over is dropped at once, or by the next plan after a kill.
 */
async function runAlone(applying: Applying, step: SchemaStep, ordinal: number): Promise<void> {
  const { db } = applying;
  await recordStep(db, applying, step, ordinal, 'running');
  await inOwnSession(db, async (session, connection) => {
    const alone = (text: string): Promise<unknown> => session.raw<unknown>(text).connection(connection).then();
    await alone(`select set_config('lock_timeout', '${String(GIVE_UP_MS)}', false), set_config('statement_timeout', '0', false)`);
    try {
      for (const statement of step.sql) await alone(statement);
    } catch (error) {
      for (const index of step.makes ?? []) await alone(`drop index concurrently if exists ${ident(schemaOf(db), index).text}`);
      throw error;
    }
  });
  await recordStep(db, applying, step, ordinal, 'done');
}

async function recordStep(db: Knex, { clock, planned }: Applying, step: SchemaStep, ordinal: number, state: 'running' | 'done'): Promise<void> {
  const now = clock.now();
  const finished = state === 'done' ? sql`${now}::timestamptz` : keyword('null');
  await run(
    db,
    sql`insert into ${platformTable(db, 'schema_step')} (plan_hash, ordinal, class, description, state, started_at, finished_at)
        values (${planned.plan.hash}, ${ordinal}, ${step.class}, ${step.description}, ${state}, ${now}::timestamptz, ${finished})
        on conflict (plan_hash, ordinal) do update set state = excluded.state, finished_at = excluded.finished_at`,
  );
}

/** Records the steps that came into force together with the version. Writes. */
export async function recordSteps(tx: Knex.Transaction, applying: Applying): Promise<void> {
  for (const [ordinal, step] of applying.planned.plan.steps.entries()) if (step.time === 'with') await recordStep(tx, applying, step, ordinal, 'done');
}

/** Tries a step again while others hold a lock that it needs. */
export async function withLockRetry(db: Knex, step: SchemaStep, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    try {
      await work();
      return;
    } catch (error) {
      const state = sqlState(error);
      if (state !== SQLSTATE.lockNotAvailable && state !== SQLSTATE.deadlockDetected) throw error;
      if (performance.now() - start > GIVE_UP_MS) {
        const who = await blockers(db, step.table);
        throw new AppError('conflict_state', `"${step.description}" waits for a lock that others do not give up. ${who}`, { cause: error });
      }
      await delay(pause);
    }
  }
}

/** Who holds locks on the table of a step, or transactions open, for the message of a step that gave up. */
async function blockers(db: Knex, table: string | null): Promise<string> {
  const found = await rows(
    db,
    sql`select distinct a.pid, a.state, left(a.query, 80) as query from pg_catalog.pg_locks l
        join pg_catalog.pg_stat_activity a on a.pid = l.pid left join pg_catalog.pg_class c on c.oid = l.relation
        where l.granted and a.pid <> pg_backend_pid() and a.datname = current_database()
          and (c.relnamespace = ${schemaOf(db)}::regnamespace and (${table}::text is null or c.relname = ${table}::text)) limit 5`,
  );
  return found.map((row) => `Process ${String(row['pid'])} (${String(row['state'])}): ${String(row['query'])}.`).join(' ');
}

const DATA_STATES: readonly string[] = [SQLSTATE.uniqueViolation, SQLSTATE.foreignKeyViolation, SQLSTATE.checkViolation, SQLSTATE.exclusionViolation];

/** When records stand in the way that came after the plan was made, the half-made thing is taken back and the step refused. */
async function explain(db: Knex, step: SchemaStep, error: unknown): Promise<unknown> {
  if (sqlState(error) === SQLSTATE.programLimitExceeded) return tooLarge(step, error);
  if (!DATA_STATES.includes(sqlState(error) ?? '')) return error;
  const { takesBack } = step;
  if (takesBack !== undefined) {
    await db.transaction(async (tx) => {
      await shortLocks(tx);
      await run(tx, sql`alter table ${ident(schemaOf(tx), takesBack.table)} drop constraint if exists ${ident(takesBack.constraint)}`);
    });
  }
  const fix = 'Plan again: the plan says which records stand in the way.';
  return new AppError('schema_refused', `"${step.description}" is not possible: records came in that stand in its way.`, {
    errors: [{ pointer: '', code: 'refused', detail: step.description, fix }],
    cause: error,
  });
}

/** Values that are too long for an index, or records that would hold too many values at once, are where they were. */
function tooLarge(step: SchemaStep, error: unknown): AppError {
  const fix = 'Shorten the longest values, change fewer fields of the object at a time, or have what is hidden for long enough dropped; then apply again.';
  return new AppError(
    'schema_refused',
    `"${step.description}" is not possible: PostgreSQL cannot hold values of this length, or so many of them in one record.`,
    {
      errors: [{ pointer: '', code: 'too_long', detail: step.description, fix }],
      cause: error,
    },
  );
}
