import { contentHash } from '../metadata/store-form.ts';
import { inputsOf } from '../model/rollups.ts';
import type { FieldModel, Model, ObjectModel } from '../model/types.ts';

/** A stored value that follows from others: a roll-up, or a formula that is stored. */
export interface DerivedField {
  readonly object: ObjectModel;
  readonly field: FieldModel;
  /** Says what the value is made of and how: what was filled under another definition is to be filled anew. */
  readonly definition: string;
}

const known = new WeakMap<Model, readonly DerivedField[]>();

/** The stored values of a Model that follow from others; those that others are made of come first. */
export function derivedFields(model: Model): readonly DerivedField[] {
  const found = known.get(model);
  if (found !== undefined) return found;
  const all = [...model.objects.values()].flatMap((object) => [...object.fields.values()].filter(isDerived).map((field) => ({ object, field })));
  const made = all
    .map((entry) => ({ ...entry, definition: contentHash(definitionOf(model, entry.object, entry.field)), depth: depthOf(model, entry.object, entry.field) }))
    .sort((a, b) => a.depth - b.depth || (a.field.id < b.field.id ? -1 : 1))
    .map(({ object, field, definition }) => ({ object, field, definition }));
  known.set(model, made);
  return made;
}

function isDerived(field: FieldModel): boolean {
  return field.column !== null && (field.rollup !== null || field.formula !== null);
}

/** How many derived fields a field stands on, one upon the other; metadata in which they stand in a circle is refused. */
function depthOf(model: Model, object: ObjectModel, field: FieldModel): number {
  if (!isDerived(field)) return 0;
  const own = (field.formula?.reads ?? []).flatMap(({ steps }) => object.fields.get(steps[0]?.field ?? '') ?? []);
  const below = field.rollup === null ? own.filter((input) => input !== field).map((input) => ({ object, field: input })) : inputsOf(model.objects, field);
  return 1 + Math.max(0, ...below.map((input) => depthOf(model, input.object, input.field)));
}

function definitionOf(model: Model, object: ObjectModel, field: FieldModel): unknown {
  const stored = [field.id, field.valueKind, field.column];
  const { rollup, formula } = field;
  if (rollup !== null) {
    const child = model.objects.get(rollup.object);
    const { op, value, filter, orderBy, deltas } = rollup;
    const inputs = child === undefined ? [] : inputsOf(model.objects, field).map((input) => definitionOf(model, input.object, input.field));
    const via = child?.fields.get(rollup.via);
    return [stored, op, child?.id, child?.table, via?.id, via?.column, value?.text, filter?.text, op === 'last' ? orderBy : null, deltas !== null, inputs];
  }
  if (formula === null) return stored;
  const reads = formula.reads.map((read) => object.fields.get(read.steps[0]?.field ?? '')).filter((read) => read !== undefined && read !== field);
  return [stored, formula.text, reads.map((read) => (read === undefined ? null : definitionOf(model, object, read)))];
}
