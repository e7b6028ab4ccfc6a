import type { FunctionEntry, FunctionTable } from '../expression/types.ts';

const COL: FunctionEntry = {
  name: 'col',
  parameters: ['text'],
  result: { kind: 'text' },
  description: 'In an import map: the trimmed text of the column with that heading, null when it is empty. Not in SQL.',
  evaluate: ([heading], context) => {
    const row = context.variables?.['row'];
    const value: unknown = row instanceof Map && typeof heading === 'string' ? row.get(heading) : null;
    return typeof value === 'string' && value !== '' ? value : null;
  },
};

/** What imports add to the expression language. */
export const IMPORT_FUNCTIONS: FunctionTable = new Map([[COL.name, COL]]);
