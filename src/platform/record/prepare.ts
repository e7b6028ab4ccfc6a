import { AppError } from '../errors.ts';
import type { EvalContext } from '../expression/types.ts';
import type { TransitionModel } from '../model/types.ts';
import { suggestion } from '../metadata/suggest.ts';
import { alive, fail, find, hasFinding, type Batch, type Entry, type MutableImage } from './batch.ts';
import { isSame, parseValue, rowOf, toInput } from './images.ts';
import type { TransitionPlan } from './object-plan.ts';
import { evalContext, makeRelated } from './related.sql.ts';
import { emptyRollup } from './rollups.ts';

/** The image of a new record as far as it is known without defaults: what was sent, who and when. */
export function beginCreate(batch: Batch, entry: Entry): void {
  const { plan, context, actor } = batch;
  const image: MutableImage = {};
  for (const { field } of plan.stored) image[field.name] = emptyRollup(field);
  image['id'] = entry.id;
  image['version'] = 1;
  image['createdAt'] = context.now;
  image['createdBy'] = actor;
  image['updatedAt'] = context.now;
  image['updatedBy'] = actor;
  if (plan.object.fields.has('ownerId') && context.principal.kind === 'user') image['ownerId'] = context.principal.userId;
  const { path } = plan.object;
  if (path !== null) image[path.field] = path.initial;
  if (entry.item.kind === 'create') Object.assign(image, entry.item.carries);
  for (const [name, value] of entry.sent) image[name] = value;
  entry.after = image;
}

/** The image after a change of an existing record, without what a transition sets. */
export function beginChange(batch: Batch, entry: Entry): void {
  const { context, actor } = batch;
  const before = entry.before ?? {};
  const image: MutableImage = { ...before, version: Number(before['version']) + 1, updatedAt: context.now, updatedBy: actor };
  if (entry.item.kind === 'delete') image['deletedAt'] = context.now;
  if (entry.item.kind === 'restore') image['deletedAt'] = null;
  for (const [name, value] of entry.sent) image[name] = value;
  entry.after = image;
}

/** Fills what the caller left out of a new record; what was sent as null stays empty. */
export function applyDefaults(batch: Batch, entry: Entry, context: EvalContext): void {
  for (const { field, evaluate } of batch.plan.defaults) {
    const isGiven = entry.sent.has(field.name) || (entry.item.kind === 'create' && entry.item.carries?.[field.name] !== undefined);
    if (isGiven || hasFinding(entry, field.name)) continue;
    entry.after[field.name] = parseValue(field, toInput(field, evaluate(rowOf(batch.plan.object, entry.after), context)));
  }
}

/**
 * Finds the transition and looks whether the record stands where it begins.
 * Fields that may not come with it are findings; the wrong state ends the entry at once.
 */
export function beginTransition(batch: Batch, entry: Entry): void {
  if (entry.item.kind !== 'transition') return;
  const { object } = batch.plan;
  const { path } = object;
  const name = entry.item.transition;
  const transition = path?.transitions.get(name);
  if (path === null || transition === undefined) {
    const known = path === null ? [] : [...path.transitions.keys()];
    const detail = path === null ? `${object.plural} have no path.` : `${object.label} has no transition ${JSON.stringify(name)}.`;
    fail(
      batch,
      entry,
      new AppError('not_found', detail, { errors: [{ pointer: '/transition', code: 'unknown_transition', detail, ...suggestion(name, known) }] }),
    );
    return;
  }
  const state = entry.before?.[path.field];
  if (typeof state !== 'string' || !transition.from.includes(state)) {
    const possible = [...path.transitions.values()].filter((other) => typeof state === 'string' && other.from.includes(state)).map((other) => other.name);
    const detail = `This ${object.label} is ${String(state)}; ${transition.label} begins at ${transition.from.join(' or ')}.`;
    const fix = possible.length === 0 ? 'No transition leads on from here.' : `From here: ${possible.join(', ')}.`;
    fail(batch, entry, new AppError('conflict_state', detail, { errors: [{ pointer: `/${path.field}`, code: 'state', detail, rule: transition.name, fix }] }));
    return;
  }
  entry.transition = transition;
  if (batch.system) return;
  const accepted = new Set([...transition.accepts, ...transition.required]);
  for (const sent of entry.sent.keys()) {
    if (!accepted.has(sent))
      find(entry, sent, 'not_accepted', `${transition.label} does not take ${sent}.`, {
        fix: accepted.size === 0 ? 'It takes no values.' : `It takes ${[...accepted].join(', ')}.`,
      });
  }
}

/** Every guard and required field that stands against the transition, at once. */
export function checkGuards(batch: Batch, entry: Entry, plan: TransitionPlan, context: EvalContext): void {
  const { transition } = entry;
  if (transition === null || entry.findings.length > 0) return;
  const { object } = batch.plan;
  const failing = plan.guards
    .filter(({ evaluate }) => evaluate(rowOf(batch.plan.object, entry.after), context) !== true)
    .map(({ guard }) => ({ pointer: '', code: 'guard', detail: guard.message, rule: guard.name, ...(guard.fix === null ? {} : { fix: guard.fix }) }));
  const missing = transition.required
    .filter((name) => isEmpty(entry.after[name]))
    .map((name) => ({
      pointer: `/${name}`,
      code: 'required',
      detail: `${object.fields.get(name)?.label ?? name} must be filled for ${transition.label}.`,
      rule: transition.name,
    }));
  const errors = [...failing, ...missing];
  if (errors.length === 0) return;
  const message = `${transition.label} is not possible yet: ${errors.map((error) => error.detail).join(' ')}`;
  fail(batch, entry, new AppError('conflict_state', message, { errors }));
}

/** Moves to the new state and sets what the transition sets; expressions see the values that came with it. */
export function applyTransition(batch: Batch, entry: Entry, transition: TransitionModel, plan: TransitionPlan, context: EvalContext): void {
  const { path } = batch.plan.object;
  if (path === null) return;
  const seen = rowOf(batch.plan.object, { ...entry.after });
  for (const { field, evaluate } of plan.set) entry.after[field.name] = parseValue(field, toInput(field, evaluate(seen, context)));
  entry.after[path.field] = transition.to;
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

/** The formulas that are stored, in the order of their need; they read nothing but the record. */
function computeFormulas(batch: Batch): void {
  const { formulas, object } = batch.plan;
  if (formulas.length === 0) return;
  const context = evalContext(batch.context, makeRelated(), undefined);
  for (const entry of alive(batch))
    for (const { field, evaluate } of formulas) entry.after[field.name] = parseValue(field, toInput(field, evaluate(rowOf(object, entry.after), context)));
}

/** Which fields differ now; an update that changes nothing writes nothing. */
export function compareImages(batch: Batch): void {
  computeFormulas(batch);
  for (const entry of alive(batch)) {
    const { before, after, item } = entry;
    entry.changed = batch.plan.userFields
      .filter(({ field }) => !isSame(before?.[field.name] ?? null, after[field.name] ?? null))
      .map(({ field }) => field.name);
    entry.idle = item.kind === 'update' && entry.changed.length === 0;
  }
}

/** Schema of the whole record, then its checks: everything that is wrong, with a pointer each. */
export function validateEntry(batch: Batch, entry: Entry, context: EvalContext): void {
  const { object, userFields, checks } = batch.plan;
  const values: Record<string, unknown> = {};
  for (const { field } of userFields) {
    const value = entry.after[field.name];
    if (!field.system && value !== null && value !== undefined) values[field.name] = value;
  }
  for (const error of object.validate(values)) {
    const field = error.pointer.split('/')[1] ?? '';
    if (!hasFinding(entry, field)) entry.findings.push(error);
  }
  for (const { check, evaluate, ownFields } of checks) {
    if (ownFields.some((name) => hasFinding(entry, name))) continue;
    if (evaluate(rowOf(batch.plan.object, entry.after), context) === true) continue;
    find(entry, check.field ?? '', 'check', check.message, { rule: check.name, ...(check.fix === undefined ? {} : { fix: check.fix }) });
  }
}
