import type { ErrorDetail } from '../errors.ts';
import { metadataPointer, pointerToken } from '../metadata/kinds.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { MetadataSet, ObjectFile } from '../metadata/types.ts';
import { fieldPointer } from './fields.ts';
import type { FieldModel } from './types.ts';

/** Annotations of a field that contradict each other or name nothing. */
export function checkField(
  draft: { readonly name: string; readonly file: ObjectFile | null },
  field: FieldModel,
  valueSets: MetadataSet['valueSets'],
  errors: ErrorDetail[],
): void {
  const schema = draft.file?.properties[field.name];
  if (schema === undefined) return;
  const pointer = (rest: string): string => metadataPointer('objects', draft.name, fieldPointer(field.name, rest));
  const wrong = (rest: string, detail: string, fix?: string): number =>
    errors.push({ pointer: pointer(rest), code: 'wrong_field', detail, ...(fix === undefined ? {} : { fix }) });
  if (schema.format === 'uuid' && schema['x-ref'] === undefined) wrong('/format', 'An id needs to say what it points at.', 'Add "x-ref": {"to": ...}.');
  const computed = (['x-formula', 'x-rollup', 'x-sequence'] as const).filter((name) => schema[name] !== undefined);
  if (computed.length > 1) wrong(pointerToken(computed.at(-1) ?? ''), `${computed.join(' and ')} exclude each other: a field is one of them.`);
  if (computed.length > 0)
    for (const name of ['x-default', 'x-ref'] as const)
      if (schema[name] !== undefined) wrong(pointerToken(name), `${name} and ${computed.join()} exclude each other.`);
  if (field.kind === 'formula' && field.required) wrong('', 'A formula cannot be required.', 'Take it out of "required".');
  if (field.kind === 'formula' && field.searchable && field.column === null)
    wrong('', 'A formula that is not stored cannot be searched.', 'Add "x-index": true, which stores it.');
  if (field.kind === 'rollup') {
    for (const name of ['x-unique', 'x-search'] as const) if (schema[name] !== undefined) wrong(pointerToken(name), `A roll-up cannot have ${name}.`);
    if (field.required || field.searchable) wrong('', 'A roll-up is neither required nor searched.', 'Take it out of "required" and "search".');
  }
  if (schema['x-ref']?.onDelete === 'clear' && field.required) wrong('/x-ref/onDelete', 'A required reference cannot be cleared.', 'Use restrict or cascade.');
  const values = schema['x-values'];
  if (values !== undefined && !valueSets.has(values)) {
    errors.push({
      pointer: pointer('/x-values'),
      code: 'unknown_value_set',
      detail: `There is no value set "${values}".`,
      ...suggestion(values, valueSets.keys()),
    });
  }
}
