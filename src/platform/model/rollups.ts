import type { ErrorDetail } from '../errors.ts';
import { treeOf } from '../expression/tree.ts';
import type { ReadPath, TypedExpression } from '../expression/types.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { RollupAnnotation } from '../metadata/annotations.ts';
import { ident } from '../sql.ts';
import type { CheckAt } from './check-at.ts';
import { isAssignable, typeWords, valueType, type SchemaObject } from './expr-schema.ts';
import type { FieldKind, FieldModel, ObjectModel, RollupModel } from './types.ts';

/** Platform table of what waits to be folded into hot roll-ups. */
export const ROLLUP_DELTAS = 'rollup_delta';

export interface RollupInput {
  readonly annotation: RollupAnnotation;
  readonly field: FieldModel;
  readonly owner: SchemaObject;
  readonly objects: ReadonlyMap<string, SchemaObject>;
  /** PostgreSQL schema of the tenant. */
  readonly schema: string;
  readonly checkAt: CheckAt;
  readonly errors: ErrorDetail[];
  readonly pointer: (rest: string) => string;
}

const WHOLE: ReadonlySet<FieldKind> = new Set(['integer']);
const EXACT: ReadonlySet<FieldKind> = new Set(['decimal', 'money', 'percent']);
const ORDERED: ReadonlySet<FieldKind> = new Set(['integer', 'decimal', 'money', 'percent', 'date', 'instant']);
/** Kinds that `last` cannot carry over: they hold references of their own, or are no single value. */
const NOT_CARRIED: ReadonlySet<FieldKind> = new Set(['reference', 'polymorphic', 'file', 'multiPicklist', 'textList', 'address', 'json']);

/** Checks a roll-up against the records that it looks at; null when it does not hold, with the findings noted. */
export function compileRollup(input: RollupInput): RollupModel | null {
  const { annotation, owner, objects, checkAt, errors, pointer } = input;
  const wrong = (rest: string, detail: string, fix?: string): null => {
    errors.push({ pointer: pointer(rest), code: 'wrong_rollup', detail, ...(fix === undefined ? {} : { fix }) });
    return null;
  };
  const relation = owner.toMany.get(annotation.relation);
  if (relation === undefined) {
    const known = [...owner.toMany.keys()];
    errors.push({
      pointer: pointer('/relation'),
      code: 'unknown_relation',
      detail: `${owner.name} has no list of records "${annotation.relation}".`,
      ...suggestion(annotation.relation, known),
    });
    return null;
  }
  const child = objects.get(relation.object);
  if (child === undefined) return null;
  const before = errors.length;
  const filter = annotation.filter === undefined ? null : checkAt(annotation.filter, child.name, pointer('/filter'), { kind: 'boolean' });
  const value = annotation.value === undefined ? null : checkAt(annotation.value, child.name, pointer('/value'));
  for (const [rest, expression] of [
    ['/filter', filter],
    ['/value', value],
  ] as const) {
    const obstacle = expression === null ? null : ownFieldsObstacle(expression);
    if (obstacle !== null)
      wrong(rest, `A roll-up looks at the stored fields of ${child.name} alone: ${obstacle}.`, 'A formula over the list is computed when it is read.');
  }
  checkShape(input, child, value, wrong);
  if (errors.length > before) return null;
  return {
    relation: relation.name,
    object: child.name,
    via: relation.via,
    op: annotation.op,
    value,
    filter,
    orderBy: annotation.orderBy ?? 'createdAt',
    deltas: annotation.hot === true ? ident(input.schema, ROLLUP_DELTAS) : null,
    declassified: annotation.declassified === true,
  };
}

/** What keeps an expression from depending on nothing but the stored fields of its own record; null when nothing does. */
export function ownFieldsObstacle(expression: TypedExpression): string | null {
  const far = expression.reads.find(({ steps }) => steps.length > 1 || steps[0]?.kind === 'many');
  if (far !== undefined) return `"${expression.text}" reads ${far.steps.map((step) => step.field).join('.')}, a change of which would not be noticed`;
  if (expression.usesClock) return `"${expression.text}" depends on the clock, and nothing is written when a day passes`;
  return expression.sqlObstacle === null ? null : `in "${expression.text}", ${expression.sqlObstacle}`;
}

/** The field that an expression is, when it is nothing else. */
export function plainField(object: SchemaObject, expression: TypedExpression): FieldModel | null {
  const tree = treeOf(expression);
  return tree.kind === 'field' && tree.of.kind === 'root' ? (object.fields.get(tree.name) ?? null) : null;
}

function checkShape(
  { annotation, field }: RollupInput,
  child: SchemaObject,
  value: TypedExpression | null,
  wrong: (rest: string, detail: string, fix?: string) => null,
): void {
  const { op, hot = false, orderBy } = annotation;
  if (op === 'count') {
    if (annotation.value !== undefined) wrong('/value', 'A count counts records and takes no value.', 'Take "value" out, or put the condition into "filter".');
    if (!WHOLE.has(field.valueKind)) wrong('', 'A count is a whole number.', 'Write "type": "integer".');
  } else if (annotation.value === undefined) wrong('', `"${op}" needs the value to look at.`, 'Add "value", such as a field of the related records.');
  if (hot && op !== 'count' && op !== 'sum')
    wrong('/hot', `"${op}" cannot be kept by deltas: taking a record away says nothing of what is left.`, 'A formula may divide a hot sum by a hot count.');
  if (hot && field.indexed) wrong('/hot', 'A hot roll-up cannot be indexed: part of it waits in the deltas.', 'Take "x-index" or "hot" out.');
  if (op !== 'last' && orderBy !== undefined) wrong('/orderBy', `"orderBy" says which record is the last, and "${op}" asks for none.`);
  const order = child.fields.get(orderBy ?? 'createdAt');
  if (op === 'last' && (order === undefined || order.column === null || !ORDERED.has(order.valueKind)))
    wrong('/orderBy', `${child.name} has no stored number, day or instant "${orderBy ?? ''}".`, 'Order by a day, an instant or a number.');
  if (value !== null && op !== 'count') checkValue(annotation, field, child, value, wrong);
}

function checkValue(
  { op }: RollupAnnotation,
  field: FieldModel,
  child: SchemaObject,
  value: TypedExpression,
  wrong: (rest: string, detail: string, fix?: string) => null,
): void {
  const source = plainField(child, value);
  if (op === 'last') {
    if (source === null || source.column === null || NOT_CARRIED.has(source.valueKind))
      wrong('/value', '"last" carries over one stored field of the related record: text, a choice, a number, a day, an instant or yes/no.');
    else if (source.valueKind !== field.valueKind)
      wrong('', `${child.name}.${source.name} is ${source.valueKind}, and this field is ${field.valueKind}.`, 'Give this field the same type and format.');
    else if (source.values?.name !== field.values?.name) wrong('', 'Both fields must have the same value set.');
    return;
  }
  const wanted = valueType(field);
  if (!isAssignable(value.type, wanted) || value.type.kind === 'null')
    wrong('/value', `"${value.text}" is ${typeWords(value.type)} where ${typeWords(wanted)} is needed.`);
  const allowed = op === 'avg' ? EXACT : op === 'sum' ? new Set([...WHOLE, ...EXACT]) : ORDERED;
  if (!allowed.has(field.valueKind))
    wrong('', `"${op}" gives ${op === 'avg' ? 'a decimal number' : op === 'sum' ? 'a number' : 'a number, a day or an instant'}.`);
  else if (field.valueKind === 'integer' && source?.valueKind !== 'integer')
    wrong('', 'Only values of a field of whole numbers stay whole.', 'Write "type": "number", or name a field of whole numbers.');
}

/** Findings that need all objects: roll-ups of roll-ups in a circle or of hot ones, stored formulas that nobody would write anew. */
export function checkDerived(
  objects: ReadonlyMap<string, ObjectModel>,
  pointer: (object: string, field: string, rest: string) => string,
): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  for (const object of objects.values()) {
    for (const field of object.fields.values()) {
      const at = (rest: string): string => pointer(object.name, field.name, rest);
      if (field.rollup !== null) errors.push(...rollupFindings(objects, object, field, at));
      if (field.formula !== null && field.column !== null) errors.push(...storedFormulaFindings(objects, object, field, at('/x-formula')));
    }
  }
  return errors;
}

function rollupFindings(
  objects: ReadonlyMap<string, ObjectModel>,
  object: ObjectModel,
  field: FieldModel,
  at: (rest: string) => string,
): readonly ErrorDetail[] {
  const inputs = inputsOf(objects, field);
  const hot = inputs.find((input) => input.field.rollup?.deltas !== null && input.field.rollup !== null);
  if (hot !== undefined) {
    const detail = `${hot.object.name}.${hot.field.name} is hot: it changes without a write that others could follow.`;
    return [{ pointer: at('/x-rollup'), code: 'wrong_rollup', detail, fix: 'Take "hot" out there.' }];
  }
  const circle = circleFrom(object, field, (of) => inputsOf(objects, of.field).filter((input) => input.field.rollup !== null));
  return circle === null ? [] : [{ pointer: at('/x-rollup'), code: 'circle', detail: `The roll-ups ${circle.join(' -> ')} need each other in a circle.` }];
}

function storedFormulaFindings(objects: ReadonlyMap<string, ObjectModel>, object: ObjectModel, field: FieldModel, pointer: string): readonly ErrorDetail[] {
  const { formula } = field;
  if (formula === null) return [];
  const wrong = (detail: string): readonly ErrorDetail[] => [
    { pointer, code: 'wrong_formula', detail, fix: 'Take "x-index" and "x-unique" out: then it is computed when it is read.' },
  ];
  const obstacle = ownFieldsObstacle(formula);
  if (obstacle !== null) return wrong(`A formula that is indexed or unique is stored when its record is written: ${obstacle}.`);
  const rollup = formula.reads.map((read) => fieldOf(objects, read)?.field).find((read) => read !== undefined && read.rollup !== null);
  if (rollup !== undefined) return wrong(`A stored formula cannot read the roll-up ${rollup?.name ?? ''}, which changes without a write of this record.`);
  const circle = circleFrom(object, field, (of) =>
    (of.field.formula?.reads ?? []).flatMap((read) => fieldOf(objects, read) ?? []).filter((input) => input.field.formula !== null),
  );
  return circle === null ? [] : wrong(`The formulas ${circle.join(' -> ')} need each other in a circle.`);
}

interface Place {
  readonly object: ObjectModel;
  readonly field: FieldModel;
}

/** The fields of the related records that a roll-up looks at. */
export function inputsOf(objects: ReadonlyMap<string, ObjectModel>, field: FieldModel): readonly Place[] {
  const { rollup } = field;
  if (rollup === null) return [];
  const child = objects.get(rollup.object);
  const order = rollup.op === 'last' ? child?.fields.get(rollup.orderBy) : undefined;
  const reads = [rollup.value, rollup.filter].flatMap((expression) => expression?.reads ?? []);
  return [...reads.flatMap((read) => fieldOf(objects, read) ?? []), ...(child === undefined || order === undefined ? [] : [{ object: child, field: order }])];
}

function fieldOf(objects: ReadonlyMap<string, ObjectModel>, { steps }: ReadPath): Place | undefined {
  const [step] = steps;
  const object = objects.get(step?.object ?? '');
  const field = object?.fields.get(step?.field ?? '');
  return object === undefined || field === undefined ? undefined : { object, field };
}

/** The names on a way from a field back to itself, or null. */
function circleFrom(object: ObjectModel, field: FieldModel, next: (of: Place) => readonly Place[]): readonly string[] | null {
  const start = `${object.name}.${field.name}`;
  const seen = new Set<string>();
  const walk = (of: Place, way: readonly string[]): readonly string[] | null => {
    for (const input of next(of)) {
      const name = `${input.object.name}.${input.field.name}`;
      if (name === start) return [...way, name];
      if (seen.has(name)) continue;
      seen.add(name);
      const found = walk(input, [...way, name]);
      if (found !== null) return found;
    }
    return null;
  };
  return walk({ object, field }, [start]);
}
