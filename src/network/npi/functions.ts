import type { FunctionEntry } from '../../platform/expression/types.ts';
import { isNpi } from './check-digit.ts';

/** Taxonomy groups of one row of the NPI file. */
const GROUPS = 15;

/** Boundary: the row of the file that an import map is evaluated for, as header -> text. */
function importedRow(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function cell(row: Readonly<Record<string, unknown>>, header: string): string {
  const value = row[header];
  return typeof value === 'string' ? value.trim() : '';
}

/** The value of a numbered column of the taxonomy group marked as primary, else of the first group that has a code. */
export function primaryOf(row: Readonly<Record<string, unknown>>, header: string): string | null {
  let first: number | null = null;
  let primary: number | null = null;
  for (let group = GROUPS; group >= 1; group -= 1) {
    if (cell(row, `Healthcare Provider Taxonomy Code_${String(group)}`) === '') continue;
    first = group;
    if (cell(row, `Healthcare Provider Primary Taxonomy Switch_${String(group)}`) === 'Y') primary = group;
  }
  const chosen = primary ?? first;
  const value = chosen === null ? '' : cell(row, `${header}_${String(chosen)}`);
  return value === '' ? null : value;
}

/** Functions that the domain adds to the language. */
export const NPI_FUNCTIONS: readonly (readonly [string, FunctionEntry])[] = [
  [
    'isNpi',
    {
      name: 'isNpi',
      parameters: ['text'],
      result: { kind: 'boolean' },
      pure: true,
      description: 'True when a text is a National Provider Identifier: ten digits, the first 1 or 2, with a right check digit. Not in SQL.',
      evaluate: ([text]) => typeof text === 'string' && isNpi(text),
    },
  ],
  [
    'nppesPrimary',
    {
      name: 'nppesPrimary',
      parameters: ['text'],
      result: { kind: 'text' },
      description:
        'In import maps of the NPI file: the value of a numbered column (named without its number) in the primary taxonomy group, else in the first one. Not in SQL.',
      evaluate: ([header], context) => (typeof header === 'string' ? primaryOf(importedRow(context.variables?.['row']), header) : null),
    },
  ],
];
