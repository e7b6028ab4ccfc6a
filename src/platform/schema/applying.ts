import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import type { Fault } from '../fault.ts';
import { keyword, run, sql } from '../sql.ts';
import type { HeldLease } from './lease.sql.ts';
import type { Planned } from './planner.ts';
import type { SchemaStep } from './types.ts';

/** The longest that a step may keep others waiting for a lock that it does not have yet (`quality.md`, 4). */
const LOCK_TIMEOUT_MS = 200;

/** Everything that carrying out a plan needs. */
export interface Applying {
  readonly db: Knex;
  readonly clock: Clock;
  readonly lease: HeldLease;
  readonly faults: Fault;
  readonly planned: Planned;
}

/** Locks are waited for briefly in this transaction, statements may take long. */
export async function shortLocks(tx: Knex.Transaction): Promise<void> {
  await run(tx, sql`select set_config('lock_timeout', ${`${String(LOCK_TIMEOUT_MS)}ms`}, true), set_config('statement_timeout', '0', true)`);
}

/** The statements of a step, one by one. */
export async function runStatements(tx: Knex.Transaction, step: SchemaStep): Promise<void> {
  for (const statement of step.sql) await run(tx, keyword(statement));
}
