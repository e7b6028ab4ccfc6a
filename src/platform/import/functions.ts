import type { FunctionEntry, FunctionTable } from '../expression/types.ts';

const COL: FunctionEntry = {
  name: 'col',
  group: 'Import maps',
  parameters: ['text'],
  result: { kind: 'text' },
  description: 'In an import map: the trimmed text of the column with that heading.',
  nulls: 'Null when the column is empty or the file has none of that heading.',
  examples: [{ text: "col('City')", row: { City: 'Boston' }, result: 'Boston' }],
  evaluate: ([heading], context) => {
    const row = context.variables?.['row'];
    const value: unknown = row instanceof Map && typeof heading === 'string' ? row.get(heading) : null;
    return typeof value === 'string' && value !== '' ? value : null;
  },
};

/** What imports add to the expression language. */
export const IMPORT_FUNCTIONS: FunctionTable = new Map([[COL.name, COL]]);
