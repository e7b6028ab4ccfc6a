import { compareDecimals, decimalText, toDecimal } from './decimal.ts';
import type { ExprValue } from './types.ts';

/** Not distinct from: null equals null, decimals by value, lists element by element. */
export function equalValues(left: ExprValue, right: ExprValue): boolean {
  if (left === right) return true;
  if (left === null || right === null || typeof left !== 'object' || typeof right !== 'object') return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    return Array.isArray(left) && Array.isArray(right) && left.length === right.length && left.every((item, index) => equalValues(item, right[index]));
  }
  const [first, second] = [toDecimal(left), toDecimal(right)];
  return first !== null && second !== null && compareDecimals(first, second) === 0;
}

/** A test whether a list has a value that is not null; linear in both, unlike asking for each value anew. */
export function membershipOf(list: readonly ExprValue[]): (value: ExprValue) => boolean {
  const keys = new Set(list.filter((item) => item !== null).map(keyOf));
  if (keys.size > 8) return (value) => value !== null && keys.has(keyOf(value));
  const few = [...keys];
  return (value) => value !== null && few.includes(keyOf(value));
}

/** Equal keys for equal values of one kind: decimals have one form only, so those that are no numbers go by their text. */
export function keyOf(value: ExprValue): ExprValue {
  return typeof value === 'object' && value !== null ? decimalText(toDecimal(value) ?? 0) : value;
}
