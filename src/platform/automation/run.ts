import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Clock, Instant } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError, type ErrorCode } from '../errors.ts';
import type { Row } from '../expression/types.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import type { RandomBytes } from '../ids.ts';
import type { Log } from '../log.ts';
import type { RuleFile } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import { rowOf } from '../record/images.ts';
import { requireInForce } from '../schema/processes.sql.ts';
import { systemCall } from './call-context.ts';
import { compileRule, hasBefore, type RuleSet } from './compile.ts';
import { makeCrew } from './crew.ts';
import { Overlap } from './overlaps.ts';
import { objectOf } from './records.sql.ts';
import { makeRunData, type RunData } from './run-data.ts';
import { loadDefinitions } from './run-limits.sql.ts';
import { claimRuns, failRun, type Lane } from './runs.sql.ts';
import type { StepTools } from './stage.ts';
import { runSteps } from './steps.ts';
import type { CompiledRule, RuleRecord, RuleRun } from './types.ts';

/** Pauses before the 2nd, 3rd ... attempt of a run whose rule says no others: 1, 5, 30 and 120 minutes. */
const BACK_OFF_MS: readonly number[] = [60_000, 300_000, 1_800_000, 7_200_000];

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
    // The second half of what is done begins with what many records wait for, so that neither kind waits for ever.
    const lanes: readonly Lane[] = done * 2 < atMost ? [0, 1] : [1, 0];
    const { claimed, error } = await runTogether(db, tools, model, rules, alone, Math.min(together, atMost - done), lanes);
    const [run, ...others] = claimed;
    if (run === undefined) break;
    if (error !== null && others.length > 0) {
      together = Math.ceil(claimed.length / 2);
      // Those that get in each other's way are likely to be followed by more of the kind.
      if (error.thrown instanceof Overlap) most = together;
      continue;
    }
    if (error !== null) await noteFailure(db, tools, rules, run, error.thrown);
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

async function runTogether(
  db: Knex,
  tools: RunTools,
  model: Model,
  rules: RuleSet,
  alone: readonly string[],
  most: number,
  lanes: readonly Lane[],
): Promise<Tried> {
  let claimed: readonly RuleRun[] = [];
  try {
    await inTransaction(db, async (tx) => {
      claimed = await claimRuns(tx, tools.clock.now(), most, alone, lanes);
      if (claimed.length === 0) return;
      fault('run.after_claim');
      const texts = await textsOf(tx, rules, claimed);
      const crew = makeCrew();
      const dataOf = makeRunData(crew, tx, model, tools);
      await crew.run(claimed.map((run) => (member) => perform(tx, tools, dataOf(member), model, ruleOf(model, rules, texts, run), run)));
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

/** The texts of rules that runs began with, where others are in force by now. */
async function textsOf(tx: Knex.Transaction, rules: RuleSet, runs: readonly RuleRun[]): Promise<ReadonlyMap<string, RuleFile>> {
  const former = runs.flatMap(({ ruleId, definition }) => {
    const inForce = rules.byId.get(ruleId);
    return inForce === undefined || definition === null || inForce.definition === definition ? [] : [definition];
  });
  return former.length === 0 ? new Map() : loadDefinitions(tx, [...new Set(former)]);
}

const formerRules = new WeakMap<Model, Map<string, CompiledRule>>();

/**
 * What a run is done by: the text of its rule that it began with, over the objects that are in force; null when the rule was taken away or
 * switched off.
 * @throws AppError metadata_invalid when that text names what is no longer there
 */
function ruleOf(model: Model, rules: RuleSet, texts: ReadonlyMap<string, RuleFile>, run: RuleRun): CompiledRule | null {
  const inForce = rules.byId.get(run.ruleId);
  if (inForce === undefined || run.definition === null || inForce.definition === run.definition) return inForce ?? null;
  const known = formerRules.get(model)?.get(run.definition);
  if (known !== undefined) return known;
  const text = texts.get(run.definition);
  if (text === undefined) throw new AppError('metadata_invalid', `The text of the rule "${run.rule}" that this run began with is not kept.`);
  const former = compileRule(model, text);
  formerRules.set(model, (formerRules.get(model) ?? new Map<string, CompiledRule>()).set(run.definition, former));
  return former;
}

async function perform(tx: Knex.Transaction, tools: RunTools, data: RunData, model: Model, rule: CompiledRule | null, run: RuleRun): Promise<void> {
  const at = tools.clock.now();
  const skip = async (reason: string): Promise<void> => {
    await data.alone(() => requireInForce(tx, model.version));
    await data.finish({ id: run.id, state: 'skipped', trace: { ...run.trace, reason }, at });
  };
  if (rule === null) return skip(`The rule "${run.rule}" is no longer there or was switched off.`);
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

async function noteFailure(db: Knex, tools: RunTools, rules: RuleSet, run: RuleRun, error: unknown): Promise<void> {
  const lasting = isAppError(error) && LASTING.includes(error.code);
  const pauses = rules.byId.get(run.ruleId)?.retryMs ?? BACK_OFF_MS;
  const pause = lasting ? undefined : pauses[run.attempts];
  const retryAt: Instant | null = pause === undefined ? null : new Date(tools.clock.nowMs() + pause).toISOString();
  const message = messageOf(error);
  tools.log.error({ run: run.id, rule: run.rule, attempt: run.attempts + 1, retryAt, code: describeFailure(error).code }, 'A rule could not be carried out.');
  await inTransaction(db, (tx) => failRun(tx, run, message, retryAt, tools.clock.now()));
}

/** What an administrator is shown of a failure; details name the places that were wrong. */
function messageOf(error: unknown): string {
  if (isAppError(error)) return [error.message, ...error.errors.map((entry) => `${entry.pointer}: ${entry.detail}`)].join('\n');
  return describeFailure(error).message;
}
