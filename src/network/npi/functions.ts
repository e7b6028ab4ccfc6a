import type { FunctionEntry, FunctionTable } from '../../platform/expression/types.ts';
import { keyword } from '../../platform/sql.ts';
import { isNpi } from './npi.ts';
import { isNpiSql } from './npi.sql.ts';

/** Groups of taxonomy, licence, state and primary switch that a row of the NPPES file has (rules.md, section 3, "NPI"). */
const TAXONOMY_GROUPS = 15;

function cell(row: unknown, heading: string): string | null {
  const value: unknown = row instanceof Map ? row.get(heading) : null;
  return typeof value === 'string' && value !== '' ? value : null;
}

/** The value of a numbered column in the group of the primary taxonomy: the one whose switch is Y, else the first that is filled. */
export function primaryOf(row: unknown, heading: string): string | null {
  let chosen: number | null = null;
  for (let group = 1; group <= TAXONOMY_GROUPS; group += 1) {
    if (cell(row, `Healthcare Provider Taxonomy Code_${String(group)}`) === null) continue;
    chosen ??= group;
    if (cell(row, `Healthcare Provider Primary Taxonomy Switch_${String(group)}`) !== 'Y') continue;
    chosen = group;
    break;
  }
  return chosen === null ? null : cell(row, `${heading}_${String(chosen)}`);
}

const ENTRIES: readonly FunctionEntry[] = [
  {
    name: 'isNpi',
    group: 'Identifiers',
    parameters: ['text'],
    result: { kind: 'boolean' },
    pure: true,
    description: 'True when a text is a National Provider Identifier: ten digits, the first 1 or 2, with a right check digit.',
    examples: [
      { text: "isNpi('1234567893')", result: true },
      { text: "isNpi('1234567890')", result: false },
    ],
    evaluate: ([text]) => isNpi(text),
    toSql: ([text]) => isNpiSql(text ?? keyword('null')),
  },
  {
    name: 'nppesPrimary',
    group: 'Import maps',
    parameters: ['text'],
    result: { kind: 'text' },
    description:
      'In import maps of the NPI file: the value of a numbered column (named without its number) in the primary taxonomy group, else in the first one.',
    nulls: 'Null when no taxonomy is filled.',
    examples: [
      {
        text: "nppesPrimary('Healthcare Provider Taxonomy Code')",
        row: {
          'Healthcare Provider Taxonomy Code_1': '207Q00000X',
          'Healthcare Provider Primary Taxonomy Switch_1': 'N',
          'Healthcare Provider Taxonomy Code_2': '208D00000X',
          'Healthcare Provider Primary Taxonomy Switch_2': 'Y',
        },
        result: '208D00000X',
      },
    ],
    evaluate: ([heading], context) => (typeof heading === 'string' ? primaryOf(context.variables?.['row'], heading) : null),
  },
];

/** What the NPI module adds to the expression language. */
export const NPI_FUNCTIONS: FunctionTable = new Map(ENTRIES.map((entry) => [entry.name, entry]));
