import { BUSINESS_FUNCTIONS } from './functions/business.sql.ts';
import { DATE_FUNCTIONS } from './functions/date.sql.ts';
import { NUMBER_FUNCTIONS } from './functions/number.sql.ts';
import { TEXT_FUNCTIONS } from './functions/text.sql.ts';
import type { FunctionEntry, FunctionTable } from './types.ts';

/** The functions of the language; a domain module adds its own to a copy. */
export const CORE_FUNCTIONS: FunctionTable = new Map<string, FunctionEntry>([...NUMBER_FUNCTIONS, ...TEXT_FUNCTIONS, ...DATE_FUNCTIONS, ...BUSINESS_FUNCTIONS]);

/** The table entries of one name: the function itself and its overloads. */
export function overloadsOf(table: FunctionTable, name: string): readonly (readonly [string, FunctionEntry])[] {
  const found: (readonly [string, FunctionEntry])[] = [];
  for (let index = 1; ; index += 1) {
    const key = index === 1 ? name : `${name}#${String(index)}`;
    const entry = table.get(key);
    if (entry === undefined) return found;
    found.push([key, entry]);
  }
}
