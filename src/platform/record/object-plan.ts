import { openSearchFields } from '../access/search-fields.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprValue, ReadPath, Row, TypedExpression } from '../expression/types.ts';
import type { CheckModel, FieldModel, Model, ObjectModel, TransitionModel } from '../model/types.ts';

export type Evaluate = (row: Row, context: EvalContext) => ExprValue;

export interface StoredField {
  readonly field: FieldModel;
  readonly column: string;
}

/** A reference field somewhere that may point at records of this object. */
export interface Inbound {
  readonly object: ObjectModel;
  readonly field: FieldModel;
  readonly onDelete: 'restrict' | 'clear' | 'cascade';
}

export interface TransitionPlan {
  readonly guards: readonly { readonly guard: TransitionModel['guards'][number]; readonly evaluate: Evaluate }[];
  readonly set: readonly { readonly field: FieldModel; readonly evaluate: Evaluate }[];
  readonly guardReads: readonly ReadPath[];
  readonly setReads: readonly ReadPath[];
}

/** What the engine has worked out about one object of one Model; made once, then only read. */
export interface ObjectPlan {
  readonly model: Model;
  readonly object: ObjectModel;
  readonly stored: readonly StoredField[];
  /** Stored fields that are the caller's or the metadata's, not the engine's own. */
  readonly userFields: readonly StoredField[];
  readonly defaults: readonly { readonly field: FieldModel; readonly evaluate: Evaluate }[];
  /** Stored formulas in the order of their need. */
  readonly formulas: readonly { readonly field: FieldModel; readonly evaluate: Evaluate }[];
  readonly defaultReads: readonly ReadPath[];
  readonly checks: readonly { readonly check: CheckModel; readonly evaluate: Evaluate; readonly ownFields: readonly string[] }[];
  readonly checkReads: readonly ReadPath[];
  readonly transitions: ReadonlyMap<string, TransitionPlan>;
  readonly references: readonly FieldModel[];
  readonly sequences: readonly FieldModel[];
  /** Fields of the caller's that hold files. */
  readonly files: readonly FieldModel[];
  readonly searched: readonly FieldModel[];
  readonly inbound: readonly Inbound[];
  /** Reference fields whose target is locked before this record is written, for some guard looks at its children. */
  readonly parentLocks: readonly FieldModel[];
  /** Unique keys as lists of fields: single ones and sets. */
  readonly uniques: readonly (readonly FieldModel[])[];
}

const plans = new WeakMap<Model, Map<string, ObjectPlan>>();

/**
 * The plan of an object, compiled on first use and kept as long as its Model.
 * @throws AppError not_found for a name that is no object, forbidden for one that the platform keeps itself
 */
export function planOf(model: Model, name: string): ObjectPlan {
  const known = plans.get(model) ?? new Map<string, ObjectPlan>();
  plans.set(model, known);
  const found = known.get(name);
  if (found !== undefined) return found;
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('not_found', `There is no object named ${JSON.stringify(name)}.`);
  if (object.builtin) throw new AppError('forbidden', `${object.plural} are kept by the platform itself and not written as records.`);
  const plan = makePlan(model, object);
  known.set(name, plan);
  return plan;
}

function makePlan(model: Model, object: ObjectModel): ObjectPlan {
  const compile = (expression: TypedExpression): Evaluate => compileJs(expression, model.expressions);
  const fields = [...object.fields.values()];
  const stored = fields.flatMap((field) => (field.column === null ? [] : [{ field, column: field.column }]));
  const defaults = fields.flatMap((field) =>
    field.defaultValue === null ? [] : [{ field, expression: field.defaultValue, evaluate: compile(field.defaultValue) }],
  );
  const userFields = stored.filter(({ field }) => field.rollup === null && (!field.system || field.name === 'ownerId'));
  const checks = object.checks.map((check) => ({ check, evaluate: compile(check.expression), ownFields: ownFields(check.expression) }));
  return {
    model,
    object,
    stored,
    userFields,
    files: userFields.map(({ field }) => field).filter((field) => field.kind === 'file'),
    formulas: storedFormulas(fields).map((field) => ({ field, evaluate: compile(field.formula) })),
    defaults: defaults.map(({ field, evaluate }) => ({ field, evaluate })),
    defaultReads: defaults.flatMap(({ expression }) => expression.reads),
    checks,
    checkReads: object.checks.flatMap((check) => check.expression.reads),
    transitions: new Map([...(object.path?.transitions ?? [])].map(([name, transition]) => [name, planTransition(object, transition, compile)])),
    references: stored.map(({ field }) => field).filter((field) => field.ref !== null && (!field.system || field.name === 'ownerId')),
    sequences: stored.map(({ field }) => field).filter((field) => field.sequence !== null),
    searched: openSearchFields(object).flatMap((name) => object.fields.get(name) ?? []),
    inbound: inboundOf(model, object),
    parentLocks: parentLocksOf(model, object),
    uniques: [
      ...fields.filter((field) => field.unique && !field.system && field.column !== null).map((field) => [field]),
      ...object.unique.map((names) => names.flatMap((name) => object.fields.get(name) ?? [])),
    ],
  };
}

type Formula = FieldModel & { readonly formula: TypedExpression };

function storedFormulas(fields: readonly FieldModel[]): readonly Formula[] {
  const all = fields.filter((field): field is Formula => field.formula !== null && field.column !== null);
  const ordered: Formula[] = [];
  // They cannot need each other in a circle: metadata that does is refused.
  const add = (field: Formula): void => {
    if (ordered.includes(field)) return;
    const names = new Set(field.formula.reads.flatMap(({ steps }) => steps[0]?.field ?? []));
    for (const other of all) if (other !== field && names.has(other.name)) add(other);
    ordered.push(field);
  };
  all.forEach(add);
  return ordered;
}

function planTransition(object: ObjectModel, transition: TransitionModel, compile: (expression: TypedExpression) => Evaluate): TransitionPlan {
  const set = [...transition.set].map(([name, expression]) => {
    const field = object.fields.get(name);
    if (field === undefined) throw new AppError('metadata_invalid', `Transition ${transition.name} of ${object.name} sets ${name}, which is no field.`);
    return { field, evaluate: compile(expression) };
  });
  return {
    guards: transition.guards.map((guard) => ({ guard, evaluate: compile(guard.expression) })),
    set,
    guardReads: transition.guards.flatMap((guard) => guard.expression.reads),
    setReads: [...transition.set.values()].flatMap((expression) => expression.reads),
  };
}

function ownFields(expression: TypedExpression): readonly string[] {
  return [...new Set(expression.reads.flatMap((read) => read.steps[0]?.field ?? []))];
}

function inboundOf(model: Model, target: ObjectModel): readonly Inbound[] {
  return [...model.objects.values()]
    .filter((object) => !object.builtin)
    .flatMap((object) =>
      [...object.fields.values()].flatMap((field) =>
        field.ref !== null && field.column !== null && !field.system && field.ref.to.includes(target.name)
          ? [{ object, field, onDelete: field.ref.onDelete }]
          : [],
      ),
    );
}

/** References of `object` along which some guard, anywhere, looks from the target at its children. */
function parentLocksOf(model: Model, object: ObjectModel): readonly FieldModel[] {
  const found = new Map<string, FieldModel>();
  for (const owner of model.objects.values()) {
    for (const transition of owner.path?.transitions.values() ?? []) {
      for (const guard of transition.guards) {
        for (const read of expandReads(model, guard.expression.reads)) {
          for (const step of read.steps) {
            const relation = step.kind === 'many' ? model.objects.get(step.object)?.toMany.get(step.field) : undefined;
            if (relation?.object !== object.name) continue;
            const field = object.fields.get(relation.via);
            if (field !== undefined) found.set(field.name, field);
          }
        }
      }
    }
  }
  return [...found.values()];
}

/**
 * Read paths with formulas replaced by what the formulas read, so that every step is a value, a to-one or a to-many.
 * Formulas cannot be cyclic: the checker refuses that.
 */
export function expandReads(model: Model, reads: readonly ReadPath[]): readonly ReadPath[] {
  return reads.flatMap((read) => {
    const at = read.steps.findIndex((step) => step.kind === 'formula');
    const step = read.steps[at];
    if (step === undefined) return [read];
    const formula = model.objects.get(step.object)?.fields.get(step.field)?.formula;
    if (formula === undefined || formula === null) return [read];
    const before = read.steps.slice(0, at);
    return expandReads(model, formula.reads).map((inner) => ({ steps: [...before, ...inner.steps] }));
  });
}
