import { add, compareDecimals, divide, multiply, remainder, subtract, sumDecimals, toDecimal, type Decimal } from './decimal.ts';
import { equalValues, membershipOf } from './equality.ts';
import { compareCodePoints, sortKey } from './sort-key.ts';
import type { ArithmeticOperator, OrderOperator } from './tree.ts';
import type { ExprType, ExprValue } from './types.ts';
import { makeText } from './work.ts';

/**
 * What the operators do to values in JavaScript. The compiler takes the table as a parameter so that a test can put
 * a wrong one in its place and see that it is caught.
 */
export interface JsOperators {
  /** Not distinct from: null equals null. */
  readonly equal: (left: ExprValue, right: ExprValue) => boolean;
  /** The same against a text, yes/no or safe integer that is known; numbers come with their sign of comparison and 0. */
  readonly same: (left: unknown, right: string | boolean | number) => boolean;
  /** From the sign of a comparison of two values that are not null. */
  readonly order: Readonly<Record<OrderOperator, (sign: number) => boolean>>;
  readonly arithmetic: Readonly<Record<ArithmeticOperator, (left: Decimal, right: Decimal) => Decimal | null>>;
  readonly concat: (left: string, right: string) => string | null;
  readonly not: (operand: ExprValue) => boolean;
  /** Of values that are not null, and of the number of them. */
  readonly sum: (values: readonly Decimal[]) => Decimal | null;
  readonly avg: (values: readonly Decimal[]) => Decimal | null;
  /** True when the sign of a comparison says that the second value is to be kept, for the least and the greatest. */
  readonly keeps: Readonly<Record<'min' | 'max', (sign: number) => boolean>>;
  /** `needle` is not null. */
  readonly isIn: (needle: ExprValue, list: readonly ExprValue[]) => boolean;
  /** The same for a list that is known. */
  readonly memberOf: (list: readonly ExprValue[]) => (needle: ExprValue) => boolean;
}

/** The operators as the language means them. */
export const JS_OPERATORS: JsOperators = {
  equal: equalValues,
  same: (left, right) => left === right,
  order: { '<': (sign) => sign < 0, '<=': (sign) => sign <= 0, '>': (sign) => sign > 0, '>=': (sign) => sign >= 0 },
  arithmetic: { '+': add, '-': subtract, '*': multiply, '/': divide, '%': remainder },
  concat: (left, right) => makeText(left.length + right.length, () => left + right),
  not: (operand) => operand !== true,
  sum: sumDecimals,
  avg: (values) => {
    const total = sumDecimals(values);
    return total === null || values.length === 0 ? null : divide(total, values.length);
  },
  keeps: { min: (sign) => sign < 0, max: (sign) => sign > 0 },
  isIn: (needle, list) => list.some((item) => item !== null && equalValues(needle, item)),
  memberOf: membershipOf,
};

/** Sign of the comparison of two values of one ordered kind, neither of them null. */
export function compareValues(type: ExprType, left: ExprValue, right: ExprValue): number {
  if (type.kind === 'number') return compareDecimals(toDecimal(left) ?? 0, toDecimal(right) ?? 0);
  if (typeof left !== 'string' || typeof right !== 'string') return Number.NaN;
  if (type.kind === 'text') return compareCodePoints(sortKey(left), sortKey(right));
  return left < right ? -1 : left > right ? 1 : 0;
}
