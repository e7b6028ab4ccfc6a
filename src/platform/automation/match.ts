import type { Knex } from 'knex';
import { distinctUses } from '../access/policy-uses.ts';
import type { CallContext } from '../access/types.ts';
import type { PolicyUse, Row } from '../expression/types.ts';
import type { EventRow } from '../jobs/types.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { rowOf } from '../record/images.ts';
import { makeEvaluator, valuesRead, type Evaluator } from './evaluate.ts';
import { changesAt, objectOf } from './records.sql.ts';
import type { NewRun } from './runs.sql.ts';
import type { CompiledRule, RuleRun, RunTrace } from './types.ts';

/** Longest chain of rules that start each other; what would go deeper is put into quarantine. */
export const MAX_DEPTH = 8;

/** Whether a reason may name a field and its value; those who match rules may name all. */
export type MayName = (field: string) => boolean;
const anyField: MayName = () => true;

/** Why an event does not start a rule, or null when its trigger fits (the condition comes after). */
export function triggerObstacle(rule: CompiledRule, event: EventRow, mayName: MayName = anyField): string | null {
  const on = rule.file.on;
  if (event.object !== rule.object) return `The event is about ${event.object}.`;
  if ('created' in on) return event.kind === 'created' ? null : `The record was ${event.kind}, not created.`;
  if ('deleted' in on || 'restored' in on) {
    const wanted = 'deleted' in on ? 'deleted' : 'restored';
    return event.kind === wanted ? null : `The record was ${event.kind}, not ${wanted}.`;
  }
  if ('becameTrue' in on) return event.kind === 'created' || event.kind === 'updated' ? null : `The record was ${event.kind}, not created or updated.`;
  if ('updated' in on) {
    if (event.kind !== 'updated') return `The record was ${event.kind}, not updated.`;
    const watched = on.fields;
    if (watched === undefined || watched.some((name) => event.changed.includes(name))) return null;
    const named = (names: readonly string[]): string =>
      [...names.filter(mayName), ...(names.every(mayName) ? [] : ['what you may not read'])].join(', ') || 'nothing';
    return `None of ${named(watched)} changed (changed: ${named(event.changed)}).`;
  }
  if ('mail' in on) {
    const mailbox = event.cause['kind'] === 'mail' ? event.cause['mailbox'] : null;
    if (mailbox !== on.mail) return `The record did not come from the mailbox "${on.mail}".`;
    return event.kind === 'created' || event.kind === 'mail' ? null : `The record was ${event.kind}, not created.`;
  }
  return 'entered' in on || 'left' in on ? null : 'This rule starts by time, not by an event.';
}

/** Why a record's change of state does not start an `entered` or `left` rule, or null. */
function stateObstacle(rule: CompiledRule, model: Model, before: Row | null, after: Row, transitionEvent: boolean, mayName: MayName): string | null {
  const on = rule.file.on;
  if (!('entered' in on) && !('left' in on)) return null;
  const field = objectOf(model, rule.object ?? '').path?.field ?? '';
  const [from, to] = [before?.[field] ?? null, after[field] ?? null];
  if ('entered' in on) {
    if (to !== on.state) return mayName(field) ? `The state is "${String(to)}", not "${on.state}".` : `The state is not "${on.state}".`;
    return from === on.state ? `The record already was in "${on.state}".` : null;
  }
  if (from !== on.state) return `The record was not in "${on.state}".`;
  return to === on.state || !transitionEvent ? `The record is still in "${on.state}".` : null;
}

export interface MatchResult {
  readonly recordId: string;
  readonly matched: boolean;
  readonly reason: string | null;
  readonly trace: RunTrace;
}

/** Looks at one event for one rule: for each of its records whether it starts the rule, and with which values. Reads only. */
export async function matchEvent(
  db: Knex,
  context: CallContext,
  rule: CompiledRule,
  event: EventRow,
  evaluator: Evaluator = makeEvaluator(db, context),
  mayName: MayName = anyField,
): Promise<readonly MatchResult[]> {
  const obstacle = triggerObstacle(rule, event, mayName);
  const ids = event.recordId === null ? (event.recordIds ?? []) : [event.recordId];
  if (obstacle !== null) return ids.map((recordId) => ({ recordId, matched: false, reason: obstacle, trace: {} }));
  const object = objectOf(context.model, event.object);
  const results: MatchResult[] = [];
  const before = event.before === null ? null : rowOf(object, event.before);
  // A record in the trash has the values that it had.
  const image = event.kind === 'deleted' ? before : event.after === null ? null : rowOf(object, event.after);
  const images =
    event.recordId === null || image === null ? await evaluator.loads.rows(event.object, ids, event.kind === 'deleted') : new Map([[event.recordId, image]]);
  const wasOf = 'becameTrue' in rule.file.on ? await statesBefore(db, event, object, images) : null;
  for (const recordId of ids) {
    const after = images.get(recordId);
    if (after === undefined) {
      results.push({ recordId, matched: false, reason: 'The record is gone.', trace: {} });
      continue;
    }
    const state = stateObstacle(rule, context.model, before, after, event.kind === 'updated', mayName);
    if (state !== null) {
      results.push({ recordId, matched: false, reason: state, trace: {} });
      continue;
    }
    const match = await matchCondition(context, rule, recordId, after, before, evaluator);
    const was = match.matched ? (wasOf?.get(recordId) ?? null) : null;
    const held = was !== null && rule.when !== null && (await evaluator.evaluate(rule.when, was, {})) === true;
    results.push(held ? { recordId, matched: false, reason: `The condition held before, too: ${rule.when.typed.text}`, trace: match.trace } : match);
  }
  return results;
}

/** The records of an event as they were before it; what was not there is left out. For a block, which has no images, the history of the moment tells. */
async function statesBefore(db: Knex, event: EventRow, object: ObjectModel, now: ReadonlyMap<string, Row>): Promise<ReadonlyMap<string, Row>> {
  if (event.kind === 'created') return new Map();
  if (event.recordId !== null) return event.before === null ? new Map() : new Map([[event.recordId, rowOf(object, event.before)]]);
  const changes = await changesAt(db, object, [...now.keys()], event.at);
  return new Map([...now].map(([id, row]) => [id, { ...row, ...changes.get(id) }]));
}

/** Evaluates a rule's condition over a record's image, with the values it looked at. */
export async function matchCondition(
  context: CallContext,
  rule: CompiledRule,
  recordId: string,
  row: Row,
  old: Row | null,
  evaluator: Evaluator,
): Promise<MatchResult> {
  const { when } = rule;
  if (when === null) return { recordId, matched: true, reason: null, trace: {} };
  const answer = await evaluator.reading({ old }, (evaluation) => {
    const uses: PolicyUse[] = [];
    const value = when.run(row, { ...evaluation, note: (use) => void uses.push(use) });
    return { value, values: valuesRead(context.model, when, row, evaluation), decisions: distinctUses(uses) };
  });
  const { values, decisions } = answer;
  const trace = { when: when.typed.text, values, ...(decisions.length === 0 ? {} : { decisions }) };
  return answer.value === true
    ? { recordId, matched: true, reason: null, trace }
    : { recordId, matched: false, reason: `The condition is not met: ${when.typed.text}`, trace };
}

/** The cause chain of an event, as the writes of a rule noted it; empty for everything else. */
export function chainOf(event: EventRow): RuleRun['chain'] {
  const chain = event.cause['kind'] === 'rule' ? event.cause['chain'] : undefined;
  if (!Array.isArray(chain)) return [];
  return chain.filter(
    (entry: unknown): entry is RuleRun['chain'][number] => typeof entry === 'object' && entry !== null && 'rule' in entry && 'record' in entry,
  );
}

/** How a rule limits its runs. */
export function limitsOf({ file }: CompiledRule): NewRun['limits'] {
  return { concurrency: file.concurrency ?? 'queue', budget: file.budget ?? null };
}

/** The run that a match starts. Its key holds rule and event but no version, so that publishing again fires nothing again. */
export function runOfMatch(context: CallContext, rule: CompiledRule, event: EventRow, match: MatchResult): NewRun {
  const chain = chainOf(event);
  const repeats = chain.some((entry) => entry.rule === rule.id && entry.record === match.recordId);
  const tooDeep = chain.length >= MAX_DEPTH;
  const reason = repeats
    ? `This rule already ran for this record in the chain of rules that led here: ${chainText(context.model, chain)}.`
    : tooDeep
      ? `Rules started each other ${String(MAX_DEPTH)} times: ${chainText(context.model, chain)}. Look for a loop, then replay this run.`
      : null;
  return {
    id: context.newId(),
    runKey: event.recordId === null ? `${rule.id}:event:${event.id}:${match.recordId}` : `${rule.id}:event:${event.id}`,
    ruleId: rule.id,
    rule: rule.name,
    ruleVersion: context.model.version,
    definition: rule.definition,
    limits: limitsOf(rule),
    lane: event.recordId === null ? 1 : 0,
    eventId: event.id,
    object: event.object,
    recordId: match.recordId,
    anchor: null,
    state: repeats ? 'skipped' : tooDeep ? 'quarantined' : 'ready',
    dueAt: context.now,
    trace: reason === null ? match.trace : { ...match.trace, reason },
    chain,
    depth: chain.length,
  };
}

function chainText(model: Model, chain: RuleRun['chain']): string {
  return chain.map((entry) => [...model.rules.values()].find((rule) => (rule.id ?? rule.name) === entry.rule)?.name ?? entry.rule).join(' -> ');
}
