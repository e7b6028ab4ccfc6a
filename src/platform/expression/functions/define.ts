import type { ExprValue, FunctionEntry } from '../types.ts';

/** An entry as the files of this folder write it. */
export type Definition = Omit<FunctionEntry, 'group'>;

/** Type of texts. */
export const TEXT = { kind: 'text' } as const;

/** Type of numbers. */
export const NUMBER = { kind: 'number' } as const;

/** Type of conditions. */
export const BOOLEAN = { kind: 'boolean' } as const;

/** Type of days. */
export const DATE = { kind: 'date' } as const;

/** Type of instants. */
export const INSTANT = { kind: 'instant' } as const;

/** Type of durations. */
export const DURATION = { kind: 'duration' } as const;

/** The entries of one section of the reference. */
export function inGroup(group: string, entries: readonly Definition[]): readonly FunctionEntry[] {
  return entries.map((entry) => ({ group, ...entry }));
}

/** A text argument; arguments of other kinds never reach a function. */
export function asText(value: ExprValue): string {
  return typeof value === 'string' ? value : '';
}

/** A list argument. */
export function asList(value: ExprValue): readonly ExprValue[] {
  return Array.isArray(value) ? value : [];
}
