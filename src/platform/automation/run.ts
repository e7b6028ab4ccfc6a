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
import { hasBefore, type RuleSet } from './compile.ts';
import { makeCrew } from './crew.ts';
import { Overlap } from './overlaps.ts';
import { objectOf } from './records.sql.ts';
import { makeRunData, type RunData } from './run-data.ts';
import { claimRuns, failRun } from './runs.sql.ts';
import type { StepTools } from './stage.ts';
import { runSteps } from './steps.ts';
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

/** Most runs that share a transaction: what they write is held from others for as long. */
const MOST_TOGETHER = 50;

/**
 * Does due runs, up to a number: all steps and the end of each in one transaction, which up to 50 runs share. A failure leaves
 * nothing of a transaction; its runs are then done in smaller sets, and what fails alone leaves the note of its attempt.
 * @returns how many runs were tried; 0 when none is due
 * @throws AppError model_changed when another Model is in force: what is left is untouched, and due by that one
 */
export async function runDueRuns(db: Knex, tools: RunTools, model: Model, rules: RuleSet, atMost: number): Promise<number> {
  const alone = [...rules.byId.values()].filter((rule) => takesLong(tools, rule)).map(({ id }) => id);
  let done = 0;
  let [together, most] = [MOST_TOGETHER, MOST_TOGETHER];
  while (done < atMost) {
    const { claimed, error } = await runTogether(db, tools, model, rules, alone, Math.min(together, atMost - done));
    const [run, ...others] = claimed;
    if (run === undefined) break;
    if (error !== null && others.length > 0) {
      together = Math.ceil(claimed.length / 2);
      // Those that get in each other's way are likely to be followed by more of the kind.
      if (error.thrown instanceof Overlap) most = together;
      continue;
    }
    if (error !== null) await noteFailure(db, tools, run, error.thrown);
    done += claimed.length;
    together = Math.min(together * 2, most);
  }
  return done;
}

interface Tried {
  readonly claimed: readonly RuleRun[];
  /** Nothing of them was done. */
  readonly error: { readonly thrown: unknown } | null;
}

/** Holds for rules that go through all records of an object, or perform an action that takes long. */
function takesLong(tools: RunTools, rule: CompiledRule): boolean {
  return rule.steps.some(({ file, forEach }) => forEach?.kind === 'object' || (file.step === 'action' && tools.actions.get(file.action)?.takesLong === true));
}

async function runTogether(db: Knex, tools: RunTools, model: Model, rules: RuleSet, alone: readonly string[], most: number): Promise<Tried> {
  let claimed: readonly RuleRun[] = [];
  try {
    await inTransaction(db, async (tx) => {
      claimed = await claimRuns(tx, tools.clock.now(), most, alone);
      if (claimed.length === 0) return;
      fault('run.after_claim');
      const crew = makeCrew();
      const dataOf = makeRunData(crew, tx, model, tools);
      await crew.run(claimed.map((run) => (member) => perform(tx, tools, dataOf(member), model, rules, run)));
      fault('run.before_commit');
    });
    if (claimed.length > 0) fault('run.after_commit');
    return { claimed, error: null };
  } catch (error) {
    if (claimed.length === 0 || isAppError(error, 'model_changed')) throw error;
    // What a replaced Model could not do is not a failure of the runs.
    await requireInForce(db, model.version);
    return { claimed, error: { thrown: error } };
  }
}

async function perform(tx: Knex.Transaction, tools: RunTools, data: RunData, model: Model, rules: RuleSet, run: RuleRun): Promise<void> {
  const at = tools.clock.now();
  const skip = async (reason: string): Promise<void> => {
    await data.alone(() => requireInForce(tx, model.version));
    await data.finish({ id: run.id, state: 'skipped', trace: { ...run.trace, reason }, at });
  };
  const rule = rules.byId.get(run.ruleId);
  if (rule === undefined) return skip(`The rule "${run.rule}" is no longer there or was switched off.`);
  let record: RuleRecord | null = null;
  if (run.recordId !== null && run.object !== null) {
    const row = await rowFor(data, model, rule, run, run.object, run.recordId);
    if (row === undefined) return skip('The record is no longer there.');
    record = { object: run.object, id: run.recordId, row };
  }
  const old = await oldOf(data, model, rule, run);
  const did = await runSteps(tools, tx, data, callOf(tools, model, rule, run), rule, run, record, old);
  await data.finish({ id: run.id, state: 'done', trace: { ...run.trace, ...did }, at });
}

function callOf(tools: RunTools, model: Model, rule: CompiledRule, run: RuleRun): CallContext {
  const chain = run.recordId === null ? run.chain : [...run.chain, { rule: rule.id, record: run.recordId }];
  return systemCall(model, tools.clock, tools.random, `rule ${rule.name}`, { kind: 'rule', rule: rule.name, ruleVersion: model.version, run: run.id, chain });
}

/** The record as it is now; one that was put into the trash as it is there, or was when it is gone from it too. */
async function rowFor(data: RunData, model: Model, rule: CompiledRule, run: RuleRun, object: string, id: string): Promise<Row | undefined> {
  const isGone = 'deleted' in rule.file.on;
  const row = (await data.rows(object, [id], isGone)).get(id);
  if (row !== undefined || !isGone || run.eventId === null) return row;
  const before = await data.before(run.eventId);
  return before === null ? undefined : rowOf(objectOf(model, object), before);
}

async function oldOf(data: RunData, model: Model, rule: CompiledRule, run: RuleRun): Promise<Row | null> {
  if (run.eventId === null || rule.object === null || !hasBefore(rule.file)) return null;
  const before = await data.before(run.eventId);
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
