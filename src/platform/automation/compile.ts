import { AppError, isAppError, type ErrorDetail } from '../errors.ts';
import { boundObstacle } from '../expression/bind.ts';
import { compileJs } from '../expression/to-js.ts';
import { treeOf, isRecordExpr, type Expr } from '../expression/tree.ts';
import type { ExprType } from '../expression/types.ts';
import { parseDuration } from '../expression/durations.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import { contentHash } from '../metadata/store-form.ts';
import type { MatchingRecords, RuleFile, RuleStep, RuleTrigger } from '../metadata/types.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import type { Compiled, CompiledRule, CompiledStep, Matching } from './types.ts';
import { cronComplaint } from './occurrences.ts';
import { becameTrueComplaint, goneComplaint } from './triggers.ts';
import { checkStepKeys, stepKeys } from './step-keys.ts';

export interface RuleSet {
  /** Enabled rules, by id. */
  readonly byId: ReadonlyMap<string, CompiledRule>;
  /** Enabled rules that start from events, by the object of the event's record. */
  readonly byObject: ReadonlyMap<string, readonly CompiledRule[]>;
  /** Enabled rules that start by time. */
  readonly timed: readonly CompiledRule[];
}

const compiled = new WeakMap<Model, RuleSet>();

/**
 * The rules of a Model, compiled once a Model.
 * @throws AppError metadata_invalid or invalid_expression, naming the rule and the place
 */
export function compileRules(model: Model): RuleSet {
  const known = compiled.get(model);
  if (known !== undefined) return known;
  const byId = new Map<string, CompiledRule>();
  const byObject = new Map<string, CompiledRule[]>();
  const timed: CompiledRule[] = [];
  for (const file of [...model.rules.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (file.enabled === false) continue;
    const rule = compileRule(model, file);
    byId.set(rule.id, rule);
    if ('schedule' in file.on || 'date' in file.on) timed.push(rule);
    else if (rule.object !== null) byObject.set(rule.object, [...(byObject.get(rule.object) ?? []), rule]);
  }
  const set = { byId, byObject, timed };
  compiled.set(model, set);
  return set;
}

/** What is wrong with the rules of a Model, all at once; for `metadata check` and `apply`. */
export function checkRules(model: Model): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  for (const file of model.rules.values()) {
    try {
      compileRule(model, file);
      errors.push(...checkStepKeys(file));
    } catch (error) {
      if (!isAppError(error)) throw error;
      const place = error.errors[0]?.pointer ?? '';
      errors.push({ pointer: metadataPointer('rules', file.name, place), code: error.code, detail: error.message });
    }
  }
  return errors;
}

/** Object of the record that a trigger is about; null for a schedule without records. */
export function triggerObject(model: Model, file: RuleFile): string | null {
  const on = file.on;
  if ('created' in on) return on.created;
  if ('updated' in on) return on.updated;
  if ('entered' in on) return on.entered;
  if ('left' in on) return on.left;
  if ('deleted' in on) return on.deleted;
  if ('restored' in on) return on.restored;
  if ('becameTrue' in on) return on.becameTrue;
  if ('date' in on) return on.date.split('.')[0] ?? null;
  if ('schedule' in on) return on.for?.object ?? null;
  return model.mailboxes.get(on.mail)?.creates.message.object ?? wrong(file, '/on/mail', `There is no mailbox "${on.mail}".`);
}

function wrong(file: RuleFile, pointer: string, detail: string): never {
  throw new AppError('metadata_invalid', `Rule "${file.name}": ${detail}`, { errors: [{ pointer, code: 'invalid', detail }] });
}

/** Compiles one rule, whatever is in force of it. */
export function compileRule(model: Model, file: RuleFile): CompiledRule {
  const object = triggerObject(model, file);
  if (object !== null && !model.objects.has(object)) wrong(file, '/on', `There is no object "${object}".`);
  checkTrigger(model, file, object);
  const variables: Record<string, ExprType> = object !== null && hasBefore(file) ? { old: { kind: 'record', object } } : {};
  const when = file.when === undefined ? null : compileAt(model, file, '/when', file.when, object, variables);
  if (when !== null) requireBoolean(file, '/when', when);
  const unfit = 'becameTrue' in file.on ? becameTrueComplaint(model, when) : goneComplaint(file);
  if (unfit !== null) wrong(file, unfit.pointer, unfit.detail);
  const created: Record<string, ExprType> = {};
  const keys = stepKeys(file.do);
  const steps = file.do.map((step, index) => {
    const known = Object.keys(created).length === 0 ? variables : { ...variables, created: { kind: 'struct' as const, members: { ...created } } };
    const made = { ...compileStep(model, file, object, step, index, known), keys: keys[index]?.keys ?? [] };
    if (step.step === 'create') created[step.object] = { kind: 'uuid' };
    return made;
  });
  return { id: file.id ?? file.name, name: file.name, file, object, when, steps, definition: definitionOf(file), retryMs: retryOf(file) };
}

const TOLD_ONLY: ReadonlySet<string> = new Set(['$schema', 'label', 'tests']);

/** Hash of what a rule does; its label and tests are no part of that. */
function definitionOf(file: RuleFile): string {
  return contentHash(Object.fromEntries(Object.entries(file).filter(([name]) => !TOLD_ONLY.has(name))));
}

function retryOf(file: RuleFile): readonly number[] | null {
  if (file.retry === undefined) return null;
  return file.retry.map((text, index) => {
    const pause = parseDuration(text);
    if (pause === null || pause.sign < 0 || pause.months > 0 || pause.businessDays > 0)
      wrong(file, `/retry/${String(index)}`, `"${text}" is not a pause of days, hours, minutes or seconds, such as PT5M.`);
    return (pause.days * 86_400 + pause.seconds) * 1000;
  });
}

/** Triggers whose event has a before-image, which expressions see as `old`. */
export function hasBefore(file: RuleFile): boolean {
  return 'updated' in file.on || 'entered' in file.on || 'left' in file.on;
}

function checkTrigger(model: Model, file: RuleFile, object: string | null): void {
  const on = file.on;
  const written = object === null ? undefined : model.objects.get(object);
  if ('updated' in on) {
    for (const name of on.fields ?? []) if (written?.fields.has(name) !== true) wrong(file, '/on/fields', `${on.updated} has no field "${name}".`);
  } else if ('entered' in on || 'left' in on) {
    const path = written?.path ?? wrong(file, '/on', `${object ?? ''} has no path.`);
    if (path.states.some((state) => state.name === on.state)) return;
    wrong(file, '/on/state', `The path "${path.name}" has no state "${on.state}". Its states: ${path.states.map((state) => state.name).join(', ')}.`);
  } else if ('schedule' in on) {
    const complaint = cronComplaint(on.schedule, on.zone);
    if (complaint !== null) wrong(file, '/on/schedule', complaint);
    if (on.for?.filter !== undefined) requireFilter(model, file, '/on/for/filter', on.for.filter, on.for.object);
  } else if ('date' in on) checkDateTrigger(model, file, on, written);
}

function checkDateTrigger(model: Model, file: RuleFile, on: Extract<RuleTrigger, { date: string }>, written: ObjectModel | undefined): void {
  const field = written?.fields.get(on.date.split('.')[1] ?? '');
  if (field?.valueKind !== 'date' && field?.valueKind !== 'instant') wrong(file, '/on/date', `${on.date} is not a date or an instant.`);
  const obstacle = field.formula?.sqlObstacle ?? null;
  if (obstacle !== null) wrong(file, '/on/date', `${on.date} is a formula that the database cannot search by: ${obstacle}.`);
  on.offsets.forEach((offset, index) => {
    if (parseDuration(offset) !== null && !offset.includes('T')) return;
    wrong(file, `/on/offsets/${String(index)}`, `"${offset}" is not a number of days, weeks, months, years or business days, such as -P30D or P2BD.`);
  });
  if (on.calendar !== undefined && !model.calendars.has(on.calendar)) wrong(file, '/on/calendar', `There is no calendar "${on.calendar}".`);
}

/** Filters are run by the database over all records of an object. */
function requireFilter(model: Model, file: RuleFile, pointer: string, text: string, object: string): void {
  const filter = compileAt(model, file, pointer, text, object, {});
  requireBoolean(file, pointer, filter);
  if (filter.typed.sqlObstacle !== null) wrong(file, pointer, `"${text}" cannot be run by the database: ${filter.typed.sqlObstacle}.`);
}

function compileStep(
  model: Model,
  file: RuleFile,
  object: string | null,
  step: RuleStep,
  index: number,
  known: Readonly<Record<string, ExprType>>,
): Omit<CompiledStep, 'keys'> {
  const at = `/do/${String(index)}`;
  const repeat = step.step === 'create' || step.step === 'update' || step.step === 'transition' ? step.forEach : undefined;
  const forEach = repeat === undefined ? null : compileForEach(model, file, object, repeat, `${at}/forEach`, known);
  const variables = forEach === null ? known : { ...known, each: forEach.each };
  const compile = (place: string, text: string): Compiled => compileAt(model, file, `${at}/${place}`, text, object, variables);
  const when = step.when === undefined ? null : compile('when', step.when);
  if (when !== null) requireBoolean(file, `${at}/when`, when);
  if (forEach?.compiled.kind === 'object' && step.step === 'create' && step.once !== undefined)
    wrong(file, `${at}/once`, 'Records that exist are left out anyway when a step is repeated for an object: leave `once` out.');
  const values = compileTexts(step, forEach !== null, compile);
  const target = targetOf(model, file, object, step, at, values);
  checkTarget(model, file, step, at, target, values);
  if (step.step === 'send-mail' && step.group !== undefined) checkGroup(model, file, object, step.group, at);
  return {
    index,
    file: step,
    when,
    values,
    forEach: forEach?.compiled ?? null,
    counts: compileCounts(model, file, object, step, at),
    once: step.step === 'create' && step.once !== undefined ? compile('once', step.once) : null,
    target,
  };
}

/** The object whose record a step writes; null for a step that writes none. */
function targetOf(model: Model, file: RuleFile, object: string | null, step: RuleStep, at: string, values: ReadonlyMap<string, Compiled>): string | null {
  const record = values.get('@record');
  if (record !== undefined)
    return recordObject(model, record) ?? wrong(file, `${at}/record`, `"${record.typed.text}" does not lead to one record of a known object.`);
  const target = step.step === 'create' ? step.object : object;
  if (target === null && step.step !== 'send-mail' && step.step !== 'action')
    wrong(file, at, 'This rule has no record of its own: say which one the step writes.');
  return target;
}

/** What mails belong to is a record that the rule's own record refers to. */
function checkGroup(model: Model, file: RuleFile, object: string | null, group: string, at: string): void {
  if (model.objects.get(object ?? '')?.fields.get(group)?.kind !== 'reference')
    wrong(file, `${at}/group`, `"${group}" is no reference of the object of this rule.`);
}

/** The expressions of a step by name; those that are not values of a record or inputs begin with `@`. */
function compileTexts(step: RuleStep, repeats: boolean, compile: (place: string, text: string) => Compiled): Map<string, Compiled> {
  const values = new Map<string, Compiled>();
  const put = (name: string, place: string, text: string | undefined): void => {
    if (text !== undefined) values.set(name, compile(place, text));
  };
  switch (step.step) {
    case 'create':
    case 'update':
      for (const [name, text] of Object.entries(step.values)) put(name, `values/${name}`, text);
      break;
    case 'action':
      for (const [name, text] of Object.entries(step.input ?? {})) put(name, `input/${name}`, text);
      break;
    case 'assign':
      put('@owner', 'owner', step.owner);
      break;
    case 'send-mail':
      put('@to', 'to', step.to);
      put('@attach', 'attach', step.attach);
      break;
    case 'transition':
      break;
  }
  if (step.step === 'update' || step.step === 'transition') put('@record', 'record', step.record ?? (repeats ? 'each' : undefined));
  return values;
}

function checkTarget(model: Model, file: RuleFile, step: RuleStep, at: string, target: string | null, values: ReadonlyMap<string, Compiled>): void {
  if (target === null) return;
  const written = model.objects.get(target) ?? wrong(file, `${at}/object`, `There is no object "${target}".`);
  if (step.step === 'create' || step.step === 'update') {
    const counted = step.step === 'update' ? Object.keys(step.counts ?? {}) : [];
    for (const name of [...values.keys(), ...counted])
      if (!name.startsWith('@') && !written.fields.has(name)) wrong(file, `${at}/values/${name}`, `${target} has no field "${name}".`);
  }
  if (step.step === 'transition' && written.path?.transitions.has(step.transition) !== true)
    wrong(file, `${at}/transition`, `${target} has no transition "${step.transition}".`);
  if (step.step === 'assign') {
    if ((step.owner === undefined) === (step.queue === undefined)) wrong(file, at, 'Give either `owner` or `queue`.');
    if (step.queue !== undefined && !written.fields.has('queue')) wrong(file, `${at}/queue`, `${target} has no field "queue", so it cannot be put into one.`);
  }
}

type ForEach = NonNullable<Extract<RuleStep, { step: 'create' }>['forEach']>;

function compileForEach(
  model: Model,
  file: RuleFile,
  object: string | null,
  forEach: ForEach,
  at: string,
  variables: Readonly<Record<string, ExprType>>,
): { readonly each: ExprType; readonly compiled: NonNullable<CompiledStep['forEach']> } {
  if (typeof forEach === 'string') {
    const expression = compileAt(model, file, at, forEach, object, variables);
    if (expression.typed.type.kind !== 'list') wrong(file, at, `"${forEach}" is not a list.`);
    return { each: expression.typed.type.of, compiled: { kind: 'list', expression } };
  }
  if ('object' in forEach) {
    const matching = compileMatching(model, file, object, forEach, at);
    return { each: { kind: 'record', object: forEach.object }, compiled: { kind: 'object', ...matching } };
  }
  const relation = object === null ? undefined : model.objects.get(object)?.toMany.get(forEach.relation);
  if (relation === undefined) wrong(file, at, `${object ?? 'The rule'} has no relation "${forEach.relation}".`);
  if (forEach.filter !== undefined) requireFilter(model, file, `${at}/filter`, forEach.filter, relation.object);
  return {
    each: { kind: 'record', object: relation.object },
    compiled: { kind: 'relation', object: relation.object, via: relation.via, filter: forEach.filter ?? null },
  };
}

/** A filter over any object, which names the rule's own record as `record`. */
function compileMatching(model: Model, file: RuleFile, object: string | null, matching: MatchingRecords, at: string): Matching {
  if (!model.objects.has(matching.object)) wrong(file, `${at}/object`, `There is no object "${matching.object}".`);
  if (matching.filter === undefined) return { object: matching.object, filter: null };
  const variables: Record<string, ExprType> = object === null ? {} : { record: { kind: 'record', object } };
  const filter = compileAt(model, file, `${at}/filter`, matching.filter, matching.object, variables);
  requireBoolean(file, `${at}/filter`, filter);
  const obstacle = boundObstacle(filter.typed, model.expressions);
  if (obstacle !== null) wrong(file, `${at}/filter`, `"${matching.filter}" cannot be run by the database: ${obstacle}.`);
  return { object: matching.object, filter: filter.typed };
}

function compileCounts(model: Model, file: RuleFile, object: string | null, step: RuleStep, at: string): ReadonlyMap<string, Matching> {
  const counts = step.step === 'update' ? (step.counts ?? {}) : {};
  return new Map(Object.entries(counts).map(([name, matching]) => [name, compileMatching(model, file, object, matching, `${at}/counts/${name}`)]));
}

function compileAt(
  model: Model,
  file: RuleFile,
  pointer: string,
  text: string,
  object: string | null,
  variables: Readonly<Record<string, ExprType>>,
): Compiled {
  try {
    const typed = model.expression(text, object, variables);
    return { typed, run: compileJs(typed, model.expressions) };
  } catch (error) {
    if (!isAppError(error)) throw error;
    throw new AppError(error.code, `Rule "${file.name}", ${pointer}: ${error.message}`, {
      errors: [{ pointer, code: error.code, detail: error.message }],
      cause: error,
    });
  }
}

function requireBoolean(file: RuleFile, pointer: string, expression: Compiled): void {
  if (expression.typed.type.kind !== 'boolean') wrong(file, pointer, `"${expression.typed.text}" must be true or false, but is ${expression.typed.type.kind}.`);
}

/** Object that the value of an expression is the id of, when that can be told from its form. */
export function recordObject(model: Model, expression: Compiled): string | null {
  const node: Expr = treeOf(expression.typed);
  if (isRecordExpr(node)) return node.object;
  if (node.kind === 'member' && node.of.kind === 'variable' && node.of.name === 'created') return node.name;
  if (node.kind !== 'field') return null;
  if (node.name === 'id') return node.of.object;
  return model.objects.get(node.object)?.fields.get(node.name)?.ref?.to[0] ?? null;
}
