import { add, plainDecimal, toDecimal } from '../../../src/platform/expression/decimal.ts';
import type { ExprValue, FunctionEntry } from '../../../src/platform/expression/types.ts';
import { sql, type Sql } from '../../../src/platform/sql.ts';

/** A value other than the right one; null stays. */
function another(entry: FunctionEntry, value: ExprValue): ExprValue {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.slice(1);
  switch (entry.result.kind) {
    case 'boolean':
      return value !== true;
    case 'number': {
      const number = toDecimal(value);
      const next = number === null ? null : add(number, 1);
      return next === null ? null : plainDecimal(next);
    }
    case 'date':
      return '2026-05-05';
    case 'instant':
      return '2026-05-05T05:05:05.000Z';
    case 'duration':
      return 'P5M';
    default:
      return null;
  }
}

/** The function with a wrong answer in JavaScript. */
export function wrongEvaluate(entry: FunctionEntry): FunctionEntry {
  return { ...entry, evaluate: (args, context) => another(entry, entry.evaluate(args, context)) };
}

/** The function with a wrong answer in SQL. */
export function wrongSql(entry: FunctionEntry): FunctionEntry {
  const { toSql } = entry;
  if (toSql === undefined) return entry;
  const wrong = (right: Sql): Sql => {
    switch (entry.gives === undefined ? entry.result.kind : 'list') {
      case 'boolean':
        return sql`(not ${right})`;
      case 'number':
        return sql`(${right} + 1)`;
      case 'date':
        return sql`(case when ${right} is not null then date '2026-05-05' end)`;
      case 'instant':
        return sql`(case when ${right} is not null then timestamptz '2026-05-05 05:05:05Z' end)`;
      default:
        return sql`(select w.v from (select ${right} as v offset 0) as w where false)`;
    }
  };
  return { ...entry, toSql: (args, context) => wrong(toSql(args, context)) };
}
