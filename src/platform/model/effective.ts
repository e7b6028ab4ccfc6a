import type { ErrorDetail } from '../errors.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { EffectiveAnnotation } from '../metadata/annotations.ts';
import type { ObjectFile } from '../metadata/types.ts';
import type { CheckAt } from './check-at.ts';
import type { CheckModel, EffectiveModel, FieldKind, FieldModel } from './types.ts';

/** Kinds whose empty value can stand for itself in a key. */
const MAY_BE_EMPTY: ReadonlySet<FieldKind> = new Set(['reference', 'text', 'email', 'phone', 'picklist']);
/** Kinds that a key may have when they are required. */
const IN_KEY: ReadonlySet<FieldKind> = new Set([...MAY_BE_EMPTY, 'integer', 'decimal', 'money', 'percent', 'boolean', 'date', 'instant', 'time', 'sequence']);

export interface EffectiveInput {
  readonly object: string;
  readonly file: ObjectFile | null;
  readonly fields: ReadonlyMap<string, FieldModel>;
  readonly checkAt: CheckAt;
  readonly errors: ErrorDetail[];
  readonly pointer: (rest: string) => string;
}

/** The days and the key of an effective-dated object, with the check that comes with them; what does not hold is noted. */
export function compileEffective(input: EffectiveInput): { readonly effective: EffectiveModel | null; readonly checks: readonly CheckModel[] } {
  const annotation = input.file?.['x-effective'];
  const effective = input.file === null || annotation === undefined ? null : effectiveOf(input, input.file, annotation);
  return { effective, checks: effective === null ? [] : effectiveCheck(input, effective) };
}

function effectiveOf({ object, fields, errors, pointer }: EffectiveInput, file: ObjectFile, annotation: EffectiveAnnotation): EffectiveModel | null {
  const before = errors.length;
  const wrong = (rest: string, detail: string, fix?: string): void =>
    void errors.push({ pointer: pointer(rest), code: 'wrong_effective', detail, ...(fix === undefined ? {} : { fix }) });
  const fieldAt = (name: string, rest: string): FieldModel | undefined => {
    const field = fields.get(name);
    if (field === undefined || file.properties[name] === undefined)
      errors.push({
        pointer: pointer(rest),
        code: 'unknown_field',
        detail: `${object} has no field "${name}".`,
        ...suggestion(name, Object.keys(file.properties)),
      });
    return file.properties[name] === undefined ? undefined : field;
  };
  const [from, through] = [fieldAt(annotation.from, '/from'), fieldAt(annotation.through, '/through')];
  for (const [field, rest] of [
    [from, '/from'],
    [through, '/through'],
  ] as const)
    if (field !== undefined && (field.kind !== 'date' || field.readOnly))
      wrong(rest, `"${field.name}" is no day that people set.`, 'Use a field with "format": "date".');
  if (from !== undefined && !from.required)
    wrong('/from', `"${from.name}" must be required: a fact without a first day is never in force.`, 'Add it to "required".');
  if (through?.required === true)
    wrong('/through', `"${through.name}" cannot be required: it stays empty while a fact has no end.`, 'Take it out of "required".');
  const key = annotation.key.flatMap((name, index) => {
    const field = fieldAt(name, `/key/${String(index)}`);
    if (field === undefined) return [];
    const at = `/key/${String(index)}`;
    if (field === from || field === through) wrong(at, 'The days themselves are not part of the key.');
    else if (field.column === null || !IN_KEY.has(field.kind))
      wrong(at, `"${name}" cannot be part of the key.`, 'Use references, short texts, choices, numbers or days.');
    else if (!field.required && !MAY_BE_EMPTY.has(field.kind)) wrong(at, `"${name}" must be required to be part of the key.`, 'Add it to "required".');
    return [field];
  });
  return from === undefined || through === undefined || errors.length > before ? null : { from, through, key };
}

/** The check that comes with effective dating: a fact does not end before it begins. */
function effectiveCheck({ object, checkAt, pointer }: EffectiveInput, { from, through }: EffectiveModel): readonly CheckModel[] {
  const assert = `${from.name} == null || ${through.name} == null || ${from.name} <= ${through.name}`;
  const expression = checkAt(assert, object, pointer(''), { kind: 'boolean' });
  if (expression === null) return [];
  const message = `${through.label} is before ${from.label}.`;
  return [{ name: 'effective-days', assert, field: through.name, message, fix: `Choose a day from ${from.label} on, or leave it empty.`, expression }];
}
