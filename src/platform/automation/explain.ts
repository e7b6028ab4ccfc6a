import type { Knex } from 'knex';
import { distinctUses } from '../access/policy-uses.ts';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import { treeOf } from '../expression/tree.ts';
import type { ExprType, PolicyUse, Row } from '../expression/types.ts';
import { listLoggedEvents } from '../jobs/events.ts';
import type { Model } from '../model/types.ts';
import { rowOf } from '../record/images.ts';
import { compileRules, hasBefore, triggerObject } from './compile.ts';
import { makeEvaluator, valuesRead, type Evaluator } from './evaluate.ts';
import { explainRuns } from './explain-runs.ts';
import { andItems } from './loops.ts';
import { matchEvent, type MayName } from './match.ts';
import { fireInstant } from './occurrences.ts';
import { loadRows, objectOf } from './records.sql.ts';
import { listRuns } from './runs.sql.ts';
import { fieldsNamed, HIDDEN, makeSight, noting, type Sight } from './sight.ts';
import type { Compiled, CompiledRule, RuleRun, RunTrace } from './types.ts';

/** One part of a condition joined by `&&`, with what it came to. What its reader may not see is `hidden`, and its outcome null. */
export interface OperandResult {
  readonly text: string;
  readonly holds: boolean | null;
  readonly values: Readonly<Record<string, unknown>>;
  /** What policies that it asks decided. */
  readonly decisions?: readonly PolicyUse[];
}

export interface ExplainedEvent {
  readonly id: string;
  readonly at: Instant;
  readonly kind: string;
  readonly started: boolean;
  readonly reason: string | null;
  readonly operands: readonly OperandResult[];
}

export interface Explanation {
  readonly rule: string;
  readonly enabled: boolean;
  readonly record: string;
  /** The condition over the record as it is now; `holds` is null when that depends on what the reader may not see. */
  readonly now: { readonly exists: boolean; readonly holds: boolean | null; readonly operands: readonly OperandResult[] };
  /** Recent events of the record, newest first, each with whether it started the rule and why not. */
  readonly events: readonly ExplainedEvent[];
  /** For a date rule: when it fires for the record's present date. */
  readonly fires: readonly { readonly offset: string; readonly at: Instant; readonly past: boolean }[];
  readonly runs: readonly RuleRun[];
}

const EVENTS_SHOWN = 50;
const RUNS_SHOWN = 50;

/** What an explanation is made from. */
interface Scene {
  readonly db: Knex;
  readonly context: CallContext;
  readonly sight: Sight;
  readonly evaluator: Evaluator;
  readonly rule: CompiledRule;
  readonly recordId: string;
  /** What the reader may read of the record. */
  readonly mayName: MayName;
}

/**
 * Says for one rule and one record what was looked at, what matched and why not, as far as the caller may read it: a record
 * that the caller may not see is one that does not exist. Whether a rule started is said in any case. Reads only.
 * @throws AppError not_found when there is no such rule
 */
export async function explain(db: Knex, context: CallContext, ruleName: string, recordId: string): Promise<Explanation> {
  const file = [...context.model.rules.values()].find((entry) => entry.name === ruleName);
  if (file === undefined) throw new AppError('not_found', `There is no rule "${ruleName}".`);
  const rule = findRule(context, ruleName);
  const sight = makeSight(db, context);
  const object = triggerObject(context.model, file);
  const rights = sight.whole || object === null ? null : await sight.rowRights(object, recordId);
  const nothing: Explanation = {
    rule: ruleName,
    enabled: rule !== null,
    record: recordId,
    now: { exists: false, holds: false, operands: [] },
    events: [],
    fires: [],
    runs: [],
  };
  if (!sight.whole && rights === null) return nothing;
  const runs = await explainRuns(context, sight, file, object, await listRuns(db, { ruleId: file.id ?? file.name, recordId, limit: RUNS_SHOWN }));
  if (rule === null) return { ...nothing, runs };
  const mayName: MayName = (field) => rights === null || rights.readable.has(field);
  const scene: Scene = { db, context, sight, evaluator: makeEvaluator(db, context), rule, recordId, mayName };
  const row = object === null ? undefined : (await loadRows(db, context.model, object, [recordId])).get(recordId);
  const operands = row === undefined ? [] : await operandsOf(scene, row, null);
  return {
    ...nothing,
    now: { exists: row !== undefined, holds: row === undefined ? false : allHold(operands), operands },
    events: object === null ? [] : await explainEvents(scene, object),
    fires: row === undefined ? [] : firesOf(scene, row),
    runs,
  };
}

/** False as soon as a part that is seen is false; unknown when only parts that are not seen could decide it. */
function allHold(operands: readonly OperandResult[]): boolean | null {
  if (operands.some((operand) => operand.holds === false)) return false;
  return operands.some((operand) => operand.holds === null) ? null : true;
}

async function explainEvents(scene: Scene, object: string): Promise<readonly ExplainedEvent[]> {
  const { db, context, rule, recordId, evaluator, mayName } = scene;
  if ('schedule' in rule.file.on || 'date' in rule.file.on) return [];
  const model = objectOf(context.model, object);
  const maySeeState = model.path === null || mayName(model.path.field);
  const logged = await listLoggedEvents(db, { recordId, object, newest: true, limit: EVENTS_SHOWN });
  const explained: ExplainedEvent[] = [];
  for (const event of logged) {
    const [match] = await matchEvent(db, context, rule, event, evaluator, mayName);
    const blockedByCondition = match?.reason?.startsWith('The condition') === true;
    const after = event.after === null ? null : rowOf(model, event.after);
    const old = event.before === null ? null : rowOf(model, event.before);
    explained.push({
      id: event.id,
      at: event.at,
      kind: event.transition === null || !maySeeState ? event.kind : `${event.kind} (${event.transition})`,
      started: match?.matched === true,
      reason: blockedByCondition && !mayAskAll(scene) ? `The condition is not met: ${HIDDEN}` : (match?.reason ?? null),
      operands: after !== null && (match?.matched === true || blockedByCondition) ? await operandsOf(scene, after, old) : [],
    });
  }
  return explained;
}

function firesOf({ context, rule, mayName }: Scene, row: Row): Explanation['fires'] {
  const on = rule.file.on;
  if (!('date' in on)) return [];
  const field = on.date.split('.')[1] ?? '';
  const anchor = row[field];
  if (typeof anchor !== 'string' || !mayName(field)) return [];
  return on.offsets.flatMap((offset) => {
    const at = fireInstant(on, offset, anchor, context.model.calendarLookup);
    return at === null ? [] : [{ offset, at, past: at <= context.now }];
  });
}

function variablesOf(rule: CompiledRule): Readonly<Record<string, ExprType>> {
  return hasBefore(rule.file) && rule.object !== null ? { old: { kind: 'record', object: rule.object } } : {};
}

function mayAskAll({ sight, rule }: Scene): boolean {
  return rule.when === null || sight.mayAsk(rule.when.typed.text, rule.object, variablesOf(rule));
}

/** The parts of a rule's condition that are joined by `&&`, each evaluated by itself. */
async function operandsOf(scene: Scene, row: Row, old: Row | null): Promise<readonly OperandResult[]> {
  const { context, rule } = scene;
  if (rule.when === null) return [];
  const { typed } = rule.when;
  const variables = variablesOf(rule);
  const results: OperandResult[] = [];
  for (const node of andItems(treeOf(typed))) {
    const part = context.model.expression(typed.text.slice(node.start, node.end), rule.object, variables);
    results.push(
      scene.sight.mayAsk(part.text, rule.object, variables)
        ? await operandOf(scene, { typed: part, run: compileJs(part, context.model.expressions) }, row, old)
        : { text: HIDDEN, holds: null, values: {} },
    );
  }
  return results;
}

/** One part that names nothing hidden, without what it met in rows that the reader may not see. */
async function operandOf({ context, sight, evaluator, rule, recordId }: Scene, part: Compiled, row: Row, old: Row | null): Promise<OperandResult> {
  const seen = await evaluator.reading({ old }, (evaluation) => {
    const touched = new Map<string, Set<string>>(rule.object === null ? [] : [[rule.object, new Set([recordId])]]);
    const noted = noting(evaluation, touched);
    const uses: PolicyUse[] = [];
    const holds = part.run(row, { ...noted, note: (use) => void uses.push(use) }) === true;
    return { holds, values: valuesRead(context.model, part, row, noted), touched, decisions: distinctUses(uses) };
  });
  const closed = new Set<string>();
  for (const [object, fields] of fieldsNamed(part.typed)) {
    for (const field of fields) if (!(await sight.mayReadIn(seen.touched, object, [field]))) closed.add(`${object}.${field}`);
  }
  const { holds, values: whole, decisions } = seen;
  if (closed.size === 0) return { text: part.typed.text, holds, values: whole, ...(decisions.length === 0 ? {} : { decisions }) };
  const shown = (name: string): boolean =>
    part.typed.reads.every(
      (path) => path.steps.map((step) => step.field).join('.') !== name || !path.steps.some((step) => closed.has(closedKey(context.model, step))),
    );
  const values = Object.fromEntries(Object.entries(seen.values).map(([name, value]) => [name, shown(name) ? value : HIDDEN]));
  return { text: part.typed.text, holds: null, values };
}

/** A to-many step reads the reference of the other object that points back. */
function closedKey(model: Model, step: { readonly object: string; readonly field: string; readonly kind: string }): string {
  const relation = step.kind === 'many' ? objectOf(model, step.object).toMany.get(step.field) : undefined;
  return relation === undefined ? `${step.object}.${step.field}` : `${relation.object}.${relation.via}`;
}

function findRule(context: CallContext, name: string): CompiledRule | null {
  return [...compileRules(context.model).byId.values()].find((rule) => rule.name === name) ?? null;
}

export interface DryRunMatch {
  readonly event: string;
  readonly at: Instant;
  readonly record: string;
  readonly trace: RunTrace;
}

export interface DryRunResult {
  readonly rule: string;
  readonly events: number;
  readonly matches: readonly DryRunMatch[];
  /** How often each reason kept an event from starting the rule. */
  readonly reasons: Readonly<Record<string, number>>;
  /** True when there were more events than are looked at in one go. */
  readonly cutOff: boolean;
}

const DRY_RUN_PAGE = 500;
const DRY_RUN_EVENTS = 20_000;

/**
 * What an event rule would have started since a moment, with effects off. Values of other records are read as they are
 * now. Reads only.
 * @throws AppError not_found (no such rule, or it is switched off), bad_request (a rule that starts by time)
 */
export async function dryRun(db: Knex, context: CallContext, ruleName: string, since: Instant): Promise<DryRunResult> {
  const rule = findRule(context, ruleName);
  if (rule === null) throw new AppError('not_found', `There is no rule "${ruleName}" that is switched on.`);
  if (rule.object === null || 'schedule' in rule.file.on || 'date' in rule.file.on)
    throw new AppError('bad_request', `The rule "${ruleName}" starts by time; only rules that start from events can be run over past ones.`);
  const evaluator = makeEvaluator(db, context);
  const matches: DryRunMatch[] = [];
  const reasons: Record<string, number> = {};
  let events = 0;
  let afterSeq: string | undefined;
  while (events < DRY_RUN_EVENTS) {
    const page = await listLoggedEvents(db, { since, object: rule.object, limit: DRY_RUN_PAGE, ...(afterSeq === undefined ? {} : { afterSeq }) });
    for (const event of page) {
      for (const match of await matchEvent(db, context, rule, event, evaluator)) {
        if (match.matched) matches.push({ event: event.id, at: event.at, record: match.recordId, trace: match.trace });
        else reasons[match.reason ?? ''] = (reasons[match.reason ?? ''] ?? 0) + 1;
      }
    }
    events += page.length;
    afterSeq = page.at(-1)?.seq;
    if (page.length < DRY_RUN_PAGE) return { rule: rule.name, events, matches, reasons, cutOff: false };
  }
  return { rule: rule.name, events, matches, reasons, cutOff: true };
}
