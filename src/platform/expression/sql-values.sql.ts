import { keyword, sql, type Sql } from '../sql.ts';
import { plainDecimal, toDecimal } from './decimal.ts';
import { valueType } from './type-rules.ts';
import type { ExprType, ExprValue } from './types.ts';

/** PostgreSQL's name of a type, as used in casts. */
export function sqlTypeOf(type: ExprType): string {
  const value = valueType(type);
  switch (value.kind) {
    case 'number':
      return 'numeric';
    case 'boolean':
    case 'date':
    case 'uuid':
      return value.kind;
    case 'instant':
      return 'timestamptz(3)';
    case 'json':
      return 'jsonb';
    case 'list':
      return `${sqlTypeOf(value.of)}[]`;
    default:
      return 'text';
  }
}

function isText(type: ExprType): boolean {
  return sqlTypeOf(type) === 'text';
}

/** `expression::type`, with text in the collation of all our columns. */
export function castTo(expression: Sql, type: ExprType): Sql {
  return sql`${expression}::${keyword(sqlTypeOf(type))}${isText(type) ? keyword(' collate "C"') : keyword('')}`;
}

/** A decimal or list of decimals in the form that the driver takes. */
function bindable(value: ExprValue): unknown {
  if (Array.isArray(value)) return value.map(bindable);
  if (typeof value !== 'object' || value === null) return value;
  const number = toDecimal(value);
  return number === null ? null : plainDecimal(number);
}

/** A bound constant of a type. */
export function constantSql(value: ExprValue, type: ExprType): Sql {
  if (value === null) return castTo(keyword('null'), type);
  if (value === true) return keyword('true');
  if (value === false) return keyword('false');
  return sql`(${castTo(sql`${bindable(value)}`, type)})`;
}

/** A constant to be compared with a bare number column: whole numbers as bigint, so that indexes on integers serve. */
export function comparedNumberSql(value: ExprValue): Sql {
  if (Array.isArray(value)) {
    const whole = value.every((item) => typeof item === 'number' && Number.isSafeInteger(item));
    return whole ? sql`${bindable(value)}::bigint[]` : sql`${bindable(value)}::numeric[]`;
  }
  return typeof value === 'number' && Number.isSafeInteger(value) ? sql`${value}::bigint` : sql`${bindable(value)}::numeric`;
}
