import { add, compareDecimals, divide, multiply, subtract, toDecimal, type Decimal } from './decimal.ts';
import { boundedText } from './functions/text.sql.ts';
import { compareCodePoints, sortKey } from './sort-key.ts';
import type { ArithmeticOperator, OrderOperator } from './tree.ts';
import type { ExprType, ExprValue } from './types.ts';

/**
 * What the operators do to values in JavaScript. The compiler takes the table as a parameter so that a test can put
 * a wrong one in its place and see that it is caught.
 */
export interface JsOperators {
  /** Not distinct from: null equals null. */
  readonly equal: (left: ExprValue, right: ExprValue) => boolean;
  /** From the sign of a comparison of two values that are not null. */
  readonly order: Readonly<Record<OrderOperator, (sign: number) => boolean>>;
  readonly arithmetic: Readonly<Record<ArithmeticOperator, (left: Decimal, right: Decimal) => Decimal | null>>;
  readonly concat: (left: string, right: string) => string | null;
  readonly not: (operand: ExprValue) => boolean;
  /** `needle` is not null. */
  readonly isIn: (needle: ExprValue, list: readonly ExprValue[]) => boolean;
}

export const JS_OPERATORS: JsOperators = {
  equal: equalValues,
  order: { '<': (sign) => sign < 0, '<=': (sign) => sign <= 0, '>': (sign) => sign > 0, '>=': (sign) => sign >= 0 },
  arithmetic: { '+': add, '-': subtract, '*': multiply, '/': divide },
  concat: (left, right) => boundedText(left + right),
  not: (operand) => operand !== true,
  isIn: (needle, list) => list.some((item) => item !== null && equalValues(needle, item)),
};

function equalValues(left: ExprValue, right: ExprValue): boolean {
  if (left === right) return true;
  if (left === null || right === null || typeof left !== 'object' || typeof right !== 'object') return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    return Array.isArray(left) && Array.isArray(right) && left.length === right.length && left.every((item, index) => equalValues(item, right[index]));
  }
  const [first, second] = [toDecimal(left), toDecimal(right)];
  return first !== null && second !== null && compareDecimals(first, second) === 0;
}

/** Sign of the comparison of two values of one ordered kind, neither of them null. */
export function compareValues(type: ExprType, left: ExprValue, right: ExprValue): number {
  if (type.kind === 'number') return compareDecimals(toDecimal(left) ?? 0, toDecimal(right) ?? 0);
  if (typeof left !== 'string' || typeof right !== 'string') return Number.NaN;
  if (type.kind === 'text') return compareCodePoints(sortKey(left), sortKey(right));
  return left < right ? -1 : left > right ? 1 : 0;
}
