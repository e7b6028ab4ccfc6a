import type { ObjectModel } from '../model/types.ts';

/** Fields that the display name of an object is made of. */
export function nameFields(object: ObjectModel): readonly string[] {
  return object.nameParts.flatMap((part) => ('field' in part ? [part.field] : []));
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/**
 * A record's name as its object's template says, out of the values that the caller may read. Codes become labels,
 * references the names in `names`; empty parts leave no empty brackets or stray separators behind.
 */
export function displayName(object: ObjectModel, values: Readonly<Record<string, unknown>>, names: ReadonlyMap<string, string>): string {
  let isEmpty = true;
  const parts = object.nameParts.map((part) => {
    if ('text' in part) return part.text;
    const field = object.fields.get(part.field);
    const value = shown(values[part.field]);
    const code = field?.values?.values.find((entry) => entry.code === value)?.label;
    const text = field?.ref === null || field?.ref === undefined ? (code ?? value) : (names.get(value) ?? '');
    if (text !== '') isEmpty = false;
    return text;
  });
  if (isEmpty) return `${object.label} ${shown(values['id']).slice(-6)}`;
  return parts
    .join('')
    .replace(/\(\s*\)/g, '')
    .replace(/\s+/g, ' ')
    .replace(/^[\s,;:–-]+|[\s,;:–-]+$/g, '');
}
