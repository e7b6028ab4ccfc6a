import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import { treeOf, type Expr } from '../expression/tree.ts';
import type { ExprType, Row } from '../expression/types.ts';
import { listLoggedEvents } from '../jobs/events.ts';
import { rowOf } from '../record/images.ts';
import { compileRules } from './compile.ts';
import { makeEvaluator, valuesRead, type Evaluator } from './evaluate.ts';
import { matchEvent } from './match.ts';
import { fireInstant } from './occurrences.ts';
import { loadRows, objectOf } from './records.sql.ts';
import { listRuns } from './runs.sql.ts';
import type { Compiled, CompiledRule, RuleRun, RunTrace } from './types.ts';

/** One part of a condition joined by `&&`, with what it came to. */
export interface OperandResult {
  readonly text: string;
  readonly holds: boolean;
  readonly values: Readonly<Record<string, unknown>>;
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
  /** The condition over the record as it is now. */
  readonly now: { readonly exists: boolean; readonly holds: boolean; readonly operands: readonly OperandResult[] };
  /** Recent events of the record, newest first, each with whether it started the rule and why not. */
  readonly events: readonly ExplainedEvent[];
  /** For a date rule: when it fires for the record's present date. */
  readonly fires: readonly { readonly offset: string; readonly at: Instant; readonly past: boolean }[];
  readonly runs: readonly RuleRun[];
}

const EVENTS_SHOWN = 50;

/**
 * Says for one rule and one record what was looked at, what matched and why not. Reads only.
 * @throws AppError not_found when there is no such rule
 */
export async function explain(db: Knex, context: CallContext, ruleName: string, recordId: string): Promise<Explanation> {
  const file = [...context.model.rules.values()].find((entry) => entry.name === ruleName);
  if (file === undefined) throw new AppError('not_found', `There is no rule "${ruleName}".`);
  const rule = findRule(context, ruleName);
  if (rule === null)
    return {
      rule: ruleName,
      enabled: false,
      record: recordId,
      now: { exists: false, holds: false, operands: [] },
      events: [],
      fires: [],
      runs: await listRuns(db, { ruleId: file.id ?? file.name, recordId, limit: 50 }),
    };
  const evaluator = makeEvaluator(db, context);
  const object = rule.object;
  const row = object === null ? undefined : (await loadRows(db, context.model, object, [recordId])).get(recordId);
  const operands = row === undefined ? [] : await operandsOf(context, rule, row, null, evaluator);
  return {
    rule: rule.name,
    enabled: true,
    record: recordId,
    now: { exists: row !== undefined, holds: row !== undefined && operands.every((operand) => operand.holds), operands },
    events: object === null ? [] : await explainEvents(db, context, rule, object, recordId, evaluator),
    fires: row === undefined ? [] : firesOf(context, rule, row),
    runs: await listRuns(db, { ruleId: rule.id, recordId, limit: 50 }),
  };
}

async function explainEvents(
  db: Knex,
  context: CallContext,
  rule: CompiledRule,
  object: string,
  recordId: string,
  evaluator: Evaluator,
): Promise<readonly ExplainedEvent[]> {
  if ('schedule' in rule.file.on || 'date' in rule.file.on) return [];
  const model = objectOf(context.model, object);
  const logged = await listLoggedEvents(db, { recordId, object, newest: true, limit: EVENTS_SHOWN });
  const explained: ExplainedEvent[] = [];
  for (const event of logged) {
    const [match] = await matchEvent(db, context, rule, event, evaluator);
    const blockedByCondition = match?.reason?.startsWith('The condition') === true;
    const after = event.after === null ? null : rowOf(model, event.after);
    const old = event.before === null ? null : rowOf(model, event.before);
    explained.push({
      id: event.id,
      at: event.at,
      kind: event.transition === null ? event.kind : `${event.kind} (${event.transition})`,
      started: match?.matched === true,
      reason: match?.reason ?? null,
      operands: after !== null && (match?.matched === true || blockedByCondition) ? await operandsOf(context, rule, after, old, evaluator) : [],
    });
  }
  return explained;
}

function firesOf(context: CallContext, rule: CompiledRule, row: Row): Explanation['fires'] {
  const on = rule.file.on;
  if (!('date' in on)) return [];
  const anchor = row[on.date.split('.')[1] ?? ''];
  if (typeof anchor !== 'string') return [];
  return on.offsets.flatMap((offset) => {
    const at = fireInstant(on, offset, anchor, context.model.calendarLookup);
    return at === null ? [] : [{ offset, at, past: at <= context.now }];
  });
}

/** The parts of a rule's condition that are joined by `&&`, each evaluated by itself. */
async function operandsOf(context: CallContext, rule: CompiledRule, row: Row, old: Row | null, evaluator: Evaluator): Promise<readonly OperandResult[]> {
  if (rule.when === null) return [];
  const { typed } = rule.when;
  const on = rule.file.on;
  const hasOld = 'updated' in on || 'entered' in on || 'left' in on;
  const variables: Record<string, ExprType> = hasOld && rule.object !== null ? { old: { kind: 'record', object: rule.object } } : {};
  const results: OperandResult[] = [];
  for (const node of andItems(treeOf(typed))) {
    const part = context.model.expression(typed.text.slice(node.start, node.end), rule.object, variables);
    const compiled: Compiled = { typed: part, run: compileJs(part, context.model.expressions) };
    results.push(
      await evaluator.reading({ old }, (evaluation) => ({
        text: part.text,
        holds: compiled.run(row, evaluation) === true,
        values: valuesRead(context.model, compiled, row, evaluation),
      })),
    );
  }
  return results;
}

function andItems(node: Expr): readonly Expr[] {
  return node.kind === 'logic' && node.operator === 'and' ? node.items.flatMap(andItems) : [node];
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
