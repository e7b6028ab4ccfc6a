import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Clock, Instant } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { isAppError, type ErrorCode } from '../errors.ts';
import type { Row } from '../expression/types.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import type { RandomBytes } from '../ids.ts';
import type { Log } from '../log.ts';
import type { Model } from '../model/types.ts';
import { rowOf } from '../record/images.ts';
import { requireInForce } from '../schema/processes.sql.ts';
import { systemCall } from './call-context.ts';
import type { RuleSet } from './compile.ts';
import { loadRows, objectOf } from './records.sql.ts';
import { beforeImage, claimRun, failRun, finishRun } from './runs.sql.ts';
import { runSteps, type StepTools } from './steps.ts';
import type { CompiledRule, RuleRecord, RuleRun } from './types.ts';

/** Pauses before the 2nd, 3rd ... attempt of a run. */
const BACK_OFF_MINUTES = [1, 5, 30, 120] as const;

/** Failures that another try would only repeat. */
const LASTING: readonly ErrorCode[] = [
  'bad_request',
  'invalid_query',
  'invalid_expression',
  'forbidden',
  'not_found',
  'validation_failed',
  'conflict_unique',
  'conflict_reference',
  'conflict_state',
  'metadata_invalid',
  'rule_failed',
];

export interface RunTools extends StepTools {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
}

/**
 * Does the next due run: all its steps and its end in one transaction. A failure leaves nothing of it but the note of
 * the attempt. Answers false when none is due.
 * @throws AppError model_changed when another Model is in force: the run is untouched, and due by that one
 */
export async function runNext(db: Knex, tools: RunTools, model: Model, rules: RuleSet): Promise<boolean> {
  let claimed: RuleRun | null = null;
  try {
    await inTransaction(db, async (tx) => {
      claimed = await claimRun(tx, tools.clock.now());
      if (claimed === null) return;
      fault('run.after_claim');
      await perform(tx, tools, model, rules, claimed);
      fault('run.before_commit');
    });
    if (claimed !== null) fault('run.after_commit');
  } catch (error) {
    // Narrowed by hand: the compiler does not see the assignment inside the closure.
    const failed: RuleRun | null = claimed;
    if (failed === null || isAppError(error, 'model_changed')) throw error;
    // What a replaced Model could not do is not a failure of the run.
    await requireInForce(db, model.version);
    await noteFailure(db, tools, failed, error);
  }
  return claimed !== null;
}

async function perform(tx: Knex.Transaction, tools: RunTools, model: Model, rules: RuleSet, run: RuleRun): Promise<void> {
  const now = tools.clock.now();
  const skip = async (reason: string): Promise<void> => {
    await requireInForce(tx, model.version);
    await finishRun(tx, run.id, 'skipped', { ...run.trace, reason }, null, now);
  };
  const rule = rules.byId.get(run.ruleId);
  if (rule === undefined) return skip(`The rule "${run.rule}" is no longer there or was switched off.`);
  let record: RuleRecord | null = null;
  if (run.recordId !== null && run.object !== null) {
    const row = (await loadRows(tx, model, run.object, [run.recordId])).get(run.recordId);
    if (row === undefined) return skip('The record is no longer there.');
    record = { object: run.object, id: run.recordId, row };
  }
  const steps = await runSteps(tools, tx, callOf(tools, model, rule, run), rule, run, record, await oldOf(tx, model, rule, run));
  await finishRun(tx, run.id, 'done', { ...run.trace, steps }, null, now);
}

function callOf(tools: RunTools, model: Model, rule: CompiledRule, run: RuleRun): CallContext {
  const chain = run.recordId === null ? run.chain : [...run.chain, { rule: rule.id, record: run.recordId }];
  return systemCall(model, tools.clock, tools.random, `rule ${rule.name}`, { kind: 'rule', rule: rule.name, ruleVersion: model.version, run: run.id, chain });
}

async function oldOf(tx: Knex.Transaction, model: Model, rule: CompiledRule, run: RuleRun): Promise<Row | null> {
  if (run.eventId === null || rule.object === null) return null;
  const before = await beforeImage(tx, run.eventId);
  return before === null ? null : rowOf(objectOf(model, rule.object), before);
}

async function noteFailure(db: Knex, tools: RunTools, run: RuleRun, error: unknown): Promise<void> {
  const lasting = isAppError(error) && LASTING.includes(error.code);
  const minutes = lasting ? undefined : BACK_OFF_MINUTES[run.attempts];
  const retryAt: Instant | null = minutes === undefined ? null : new Date(tools.clock.nowMs() + minutes * 60_000).toISOString();
  const message = messageOf(error);
  tools.log.error({ run: run.id, rule: run.rule, attempt: run.attempts + 1, retryAt, code: describeFailure(error).code }, 'A rule could not be carried out.');
  await inTransaction(db, (tx) => failRun(tx, run, message, retryAt, tools.clock.now()));
}

/** What an administrator is shown of a failure; details name the places that were wrong. */
function messageOf(error: unknown): string {
  if (isAppError(error)) return [error.message, ...error.errors.map((entry) => `${entry.pointer}: ${entry.detail}`)].join('\n');
  return describeFailure(error).message;
}
