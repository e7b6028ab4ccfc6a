import { BUSINESS_FUNCTIONS } from './functions/business.sql.ts';
import { DATE_FUNCTIONS } from './functions/date.sql.ts';
import { DATE_PART_FUNCTIONS } from './functions/date-parts.sql.ts';
import { DURATION_FUNCTIONS } from './functions/duration.sql.ts';
import { INSTANT_FUNCTIONS } from './functions/instant.sql.ts';
import { LIST_FUNCTIONS } from './functions/list.sql.ts';
import { NUMBER_FUNCTIONS } from './functions/number.sql.ts';
import { TEXT_FUNCTIONS } from './functions/text.sql.ts';
import type { FunctionEntry, FunctionTable } from './types.ts';

/** Entries as a table: a name that comes again is an overload. The first that takes the arguments is meant. */
function tableOf(entries: readonly FunctionEntry[]): FunctionTable {
  const table = new Map<string, FunctionEntry>();
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const count = (counts.get(entry.name) ?? 0) + 1;
    counts.set(entry.name, count);
    table.set(count === 1 ? entry.name : `${entry.name}#${String(count)}`, entry);
  }
  return table;
}

/** The functions of the language; a domain module adds its own to a copy. */
export const CORE_FUNCTIONS: FunctionTable = tableOf([
  ...DATE_FUNCTIONS,
  ...DATE_PART_FUNCTIONS,
  ...INSTANT_FUNCTIONS,
  ...DURATION_FUNCTIONS,
  ...BUSINESS_FUNCTIONS,
  ...NUMBER_FUNCTIONS,
  ...TEXT_FUNCTIONS,
  ...LIST_FUNCTIONS,
]);

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
