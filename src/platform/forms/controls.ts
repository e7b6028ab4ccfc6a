import type { FieldKind, FieldModel } from '../model/types.ts';
import type { Control, Typed } from './types.ts';

const FEW_OPTIONS = 6;

const CONTROLS: Readonly<Record<FieldKind, Control>> = {
  text: 'text',
  longText: 'textarea',
  richText: 'textarea',
  email: 'email',
  phone: 'tel',
  url: 'url',
  integer: 'number',
  decimal: 'number',
  money: 'number',
  percent: 'number',
  boolean: 'yesno',
  date: 'date',
  instant: 'datetime',
  time: 'time',
  duration: 'text',
  picklist: 'select',
  multiPicklist: 'checkboxes',
  reference: 'text',
  polymorphic: 'text',
  address: 'textarea',
  geo: 'text',
  file: 'text',
  sequence: 'text',
  formula: 'text',
  rollup: 'text',
  json: 'textarea',
  textList: 'textarea',
};

/** The input that asks for a field: few choices are radio buttons, many a list. */
export function controlOf(field: FieldModel): Control {
  if (field.kind === 'picklist' && (field.values?.values.length ?? 0) <= FEW_OPTIONS) return 'radios';
  return CONTROLS[field.kind];
}

const DAY = new Intl.DateTimeFormat('en-US', { dateStyle: 'long', timeZone: 'UTC' });

/** A day as people read it; what is no day stays as it was typed. */
export function dayText(typed: string): string {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(typed) ? new Date(`${typed}T00:00:00Z`) : null;
  return day === null || Number.isNaN(day.getTime()) ? typed : DAY.format(day);
}

/** What was typed, in words: labels of choices, days as people read them. */
export function displayTyped(field: FieldModel, typed: Typed): string {
  const texts = typeof typed === 'string' ? (typed === '' ? [] : [typed]) : typed;
  if (field.kind === 'boolean') return texts.map((text) => (text === 'true' ? 'Yes' : text === 'false' ? 'No' : text)).join(', ');
  if (field.kind === 'date') return texts.map(dayText).join(', ');
  if (field.values === null) return texts.join(', ');
  const labels = new Map(field.values.values.map((value) => [value.code, value.label]));
  return texts.map((text) => labels.get(text) ?? text).join(', ');
}
