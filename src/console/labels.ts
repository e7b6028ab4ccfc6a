import type { FieldDescription } from './types.ts';

const day = new Intl.DateTimeFormat('en-US', { dateStyle: 'medium', timeZone: 'UTC' });
const moment = new Intl.DateTimeFormat('en-US', { dateStyle: 'medium', timeStyle: 'short' });

/** An instant in the reader's own zone. */
export function momentText(instant: unknown): string {
  return moment.format(new Date(String(instant)));
}

/** A day, which has no zone. */
export function dayText(date: string): string {
  return day.format(new Date(date));
}

/** The label of a choice, or the value itself. */
export function choiceText(field: FieldDescription | undefined, value: unknown): string {
  return field?.options?.find((option) => option.value === value)?.label ?? String(value);
}

/** Parts of an address as people fill them in. */
export const ADDRESS_PARTS = [
  ['line1', 'Street'],
  ['line2', 'Suite or floor'],
  ['city', 'City'],
  ['state', 'State'],
  ['postalCode', 'ZIP code'],
] as const;

/** One part of an address; empty when it is not there. */
export function addressPart(value: unknown, part: string): string {
  const found = typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === part)?.[1] : undefined;
  return typeof found === 'string' ? found : '';
}

/** A value as a text field holds it: lists with semicolons, what has parts as JSON. The server reads both. */
export function editText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value) && !value.some((item) => String(item).includes(';'))) return value.map(String).join(';');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A value as plain text: labels of choices, days and times as people write them, Yes and No. */
export function plainText(field: FieldDescription | undefined, value: unknown): string {
  if (value === null || value === undefined || value === '') return '(empty)';
  if (Array.isArray(value)) return value.map((entry) => choiceText(field, entry)).join(', ');
  if (typeof value === 'boolean') return value ? 'Yes' : 'No';
  if (field?.kind === 'date') return day.format(new Date(`${String(value)}T00:00:00Z`));
  if (field?.kind === 'instant') return momentText(value);
  if (field?.kind === 'address')
    return ADDRESS_PARTS.map(([part]) => addressPart(value, part))
      .filter((text) => text !== '')
      .join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : choiceText(field, value);
}
