import { rightsFor, unknownObject, unknownRecord, type Grant, type Rights, type RowRule } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ReadPath, Row, TypedExpression } from '../expression/types.ts';
import type { Model } from '../model/types.ts';
import { fail, type Batch, type Entry } from './batch.ts';
import { rowOf } from './images.ts';
import type { Evaluate } from './object-plan.ts';

const compiled = new WeakMap<TypedExpression, Evaluate>();

function holds(model: Model, rule: RowRule, row: Row, context: EvalContext): boolean {
  if (rule.kind !== 'where') return rule.kind === 'all';
  const known = compiled.get(rule.expression) ?? compileJs(rule.expression, model.expressions);
  compiled.set(rule.expression, known);
  return known(row, context) === true;
}

const readsByRights = new WeakMap<Rights, readonly ReadPath[]>();

/** Read paths of every row rule the caller has on the object: to be preloaded before `authorizeBefore`. */
export function ruleReads(rights: Rights): readonly ReadPath[] {
  const known = readsByRights.get(rights);
  if (known !== undefined) return known;
  const rules = rights.grants.flatMap((grant) => [grant.read, grant.update, grant.delete]);
  const made = rules.flatMap((rule) => (rule.kind === 'where' ? rule.expression.reads : []));
  readsByRights.set(rights, made);
  return made;
}

/**
 * The caller's rights on an object.
 * @throws AppError not_found when the caller may neither read nor create any of its records
 */
export function writeRights(context: CallContext, object: string): Rights {
  const rights = rightsFor(context, object);
  if (!rights.canRead && !rights.canCreate) throw unknownObject(object);
  return rights;
}

function forbidden(batch: Batch, entry: Entry, what: string): void {
  fail(batch, entry, new AppError('forbidden', what));
}

/**
 * Before anything is worked out: may the caller do this kind of thing with the record as it stands, and set these fields?
 * A record that the caller may not see answers as one that does not exist.
 */
export function authorizeBefore(batch: Batch, entry: Entry, rights: Rights, context: EvalContext): void {
  const { object } = batch.plan;
  const { item } = entry;
  if (item.kind === 'create') {
    const grants = rights.grants.filter((grant) => grant.create);
    if (grants.length === 0) forbidden(batch, entry, `You may not create ${object.plural}.`);
    else checkFields(batch, entry, grants);
    return;
  }
  if (entry.before === null) return;
  const before = rowOf(object, entry.before);
  const model = batch.context.model;
  const isVisible = rights.readGrants.some((grant) => holds(model, grant.read, before, context));
  if (!isVisible) {
    fail(batch, entry, unknownRecord(object.name, entry.id));
    return;
  }
  switch (item.kind) {
    case 'update': {
      const grants = rights.grants.filter((grant) => holds(model, grant.update, before, context));
      if (grants.length === 0) forbidden(batch, entry, `You may not change this ${object.label}.`);
      else checkFields(batch, entry, grants);
      return;
    }
    case 'transition': {
      // Who may do everything hears of an unknown transition from the path itself.
      const may =
        rights.all ||
        rights.grants.some(
          (grant) => grant.transitions.has(item.transition) && holds(model, grant.update.kind === 'none' ? grant.read : grant.update, before, context),
        );
      if (!may) forbidden(batch, entry, `You may not use the transition ${JSON.stringify(item.transition)} on this ${object.label}.`);
      return;
    }
    case 'delete':
    case 'restore':
      if (!rights.grants.some((grant) => holds(model, grant.delete, before, context)))
        forbidden(batch, entry, `You may not ${item.kind} this ${object.label}.`);
  }
}

function checkFields(batch: Batch, entry: Entry, grants: readonly Grant[]): void {
  const closed = [...entry.sent.keys()].filter((name) => !grants.some((grant) => grant.writes.has(name)));
  if (closed.length === 0) return;
  const errors = closed.map((name) => ({ pointer: `/${name}`, code: 'forbidden_field', detail: `You may not set ${name}.`, fix: 'Leave it out.' }));
  fail(batch, entry, new AppError('forbidden', `You may not set ${closed.join(', ')} of this ${batch.plan.object.label}.`, { errors }));
}

/**
 * After everything is worked out: would the record as written still be one the caller may change? For portal callers
 * also: may they see what they create? Staff may create for others, a portal subject only for itself.
 */
export function authorizeAfter(batch: Batch, entry: Entry, rights: Rights, context: EvalContext): void {
  const { object } = batch.plan;
  const { item } = entry;
  const after = rowOf(object, entry.after);
  const model = batch.context.model;
  if (item.kind === 'create' && batch.context.principal.kind === 'portal') {
    const fits = rights.grants.some((grant) => grant.create && holds(model, grant.read, after, context));
    if (!fits) forbidden(batch, entry, `You may not create this ${object.label}: it would not be one of yours.`);
  }
  if (item.kind === 'update' && !rights.grants.some((grant) => holds(model, grant.update, after, context))) {
    forbidden(batch, entry, `You may not make this change: the ${object.label} would no longer be one that you may change.`);
  }
}
