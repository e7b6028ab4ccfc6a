import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Row } from '../expression/types.ts';
import { listLoggedEvents } from '../jobs/events.ts';
import { rowOf } from '../record/images.ts';
import { compileRules, triggerObject } from './compile.ts';
import { makeEvaluator } from './evaluate.ts';
import { operandsOf, variablesOf, type OperandResult, type Scene } from './explain-parts.ts';
import { explainRuns } from './explain-runs.ts';
import { matchEvent, type MayName } from './match.ts';
import { fireInstant } from './occurrences.ts';
import { loadRows, objectOf } from './records.sql.ts';
import { listRuns } from './runs.sql.ts';
import { HIDDEN, makeSight } from './sight.ts';
import type { CompiledRule, RuleRun, RunTrace } from './types.ts';

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

/**
 * Says for one rule and one record what was looked at, what matched and why not, as far as the caller may read it: a record
 * that the caller may not see is one that does not exist. Whether a rule started is said in any case. Reads only.
 * @throws AppError not_found when there is no such rule
 */
export async function explain(db: Knex, context: CallContext, ruleName: string, recordId: string, eventsShown = EVENTS_SHOWN): Promise<Explanation> {
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
    events: object === null ? [] : await explainEvents(scene, object, eventsShown),
    fires: row === undefined ? [] : firesOf(scene, row),
    runs,
  };
}

/** False as soon as a part that is seen is false; unknown when only parts that are not seen could decide it. */
function allHold(operands: readonly OperandResult[]): boolean | null {
  if (operands.some((operand) => operand.holds === false)) return false;
  return operands.some((operand) => operand.holds === null) ? null : true;
}

async function explainEvents(scene: Scene, object: string, limit: number): Promise<readonly ExplainedEvent[]> {
  const { db, context, rule, recordId, evaluator, mayName } = scene;
  if ('schedule' in rule.file.on || 'date' in rule.file.on) return [];
  const model = objectOf(context.model, object);
  const maySeeState = model.path === null || mayName(model.path.field);
  const logged = await listLoggedEvents(db, { recordId, object, newest: true, limit });
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

function mayAskAll({ sight, rule }: Scene): boolean {
  return rule.when === null || sight.mayAsk(rule.when.typed.text, rule.object, variablesOf(rule));
}

function findRule(context: CallContext, name: string): CompiledRule | null {
  return [...compileRules(context.model).byId.values()].find((rule) => rule.name === name) ?? null;
}

/** One rule in the explanation of a record. */
export interface RuleOutcome {
  readonly rule: string;
  readonly label: string | null;
  readonly enabled: boolean;
  readonly now: Explanation['now'];
  readonly fires: Explanation['fires'];
  /** The newest event of the record and what came of it for this rule; null when there is none, or the rule starts by time. */
  readonly lastEvent: ExplainedEvent | null;
  readonly lastRun: RuleRun | null;
  /** How many of the record's last runs of this rule there are (at most 50 are counted). */
  readonly runs: number;
}

/**
 * What every rule on the object of a record came to for it, those that are switched off too, in the order of their names: as far as the
 * caller may read it. Reads only.
 */
export async function explainRecord(db: Knex, context: CallContext, object: string, recordId: string): Promise<readonly RuleOutcome[]> {
  const outcomes: RuleOutcome[] = [];
  for (const file of [...context.model.rules.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (triggerObject(context.model, file) !== object) continue;
    const { rule, enabled, now, fires, events, runs } = await explain(db, context, file.name, recordId, 1);
    outcomes.push({ rule, label: file.label ?? null, enabled, now, fires, lastEvent: events[0] ?? null, lastRun: runs[0] ?? null, runs: runs.length });
  }
  return outcomes;
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
