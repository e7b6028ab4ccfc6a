import type { FieldModel } from '../model/types.ts';
import type { Control, Typed } from './types.ts';

const FEW_OPTIONS = 6;

/** The input that asks for a field: few choices are radio buttons, many a list. */
export function controlOf(field: FieldModel): Control {
  switch (field.kind) {
    case 'longText':
    case 'richText':
    case 'json':
    case 'address':
    case 'textList':
      return 'textarea';
    case 'email':
      return 'email';
    case 'phone':
      return 'tel';
    case 'url':
      return 'url';
    case 'integer':
    case 'decimal':
    case 'money':
    case 'percent':
      return 'number';
    case 'boolean':
      return 'yesno';
    case 'date':
      return 'date';
    case 'instant':
      return 'datetime';
    case 'time':
      return 'time';
    case 'multiPicklist':
      return 'checkboxes';
    case 'picklist':
      return (field.values?.values.length ?? 0) <= FEW_OPTIONS ? 'radios' : 'select';
    case 'text':
    case 'duration':
    case 'reference':
    case 'polymorphic':
    case 'file':
    case 'sequence':
    case 'formula':
      return 'text';
  }
}

/** What was typed, in words: labels of choices, days as people read them. */
export function displayTyped(field: FieldModel, typed: Typed): string {
  const texts = typeof typed === 'string' ? (typed === '' ? [] : [typed]) : typed;
  if (field.kind === 'boolean') return texts.map((text) => (text === 'true' ? 'Yes' : text === 'false' ? 'No' : text)).join(', ');
  if (field.values === null) return texts.join(', ');
  const labels = new Map(field.values.values.map((value) => [value.code, value.label]));
  return texts.map((text) => labels.get(text) ?? text).join(', ');
}
