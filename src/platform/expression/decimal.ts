import Big from 'big.js';

/** An exact decimal: a safe integer as `number`, everything else as `Big`; one value has one form only. */
export type Decimal = number | Big;

/** Our own constructor, so that no other user of big.js changes how quotients are rounded: 12 places, half to even. */
const Exact = Big();
Exact.DP = 12;
Exact.RM = 2;

/** Results of arithmetic at or beyond 10^34, or with more than 100 decimal places, are overflow: null. */
export const MAX_EXPONENT = 34;
export const MAX_PLACES = 100;

const INTEGER_TEXT = /^-?\d{1,15}$/;
const DECIMAL_TEXT = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$/;

function settle(value: Big): Decimal {
  if (value.e < 16 && value.c.length <= value.e + 1) {
    const integer = value.toNumber();
    if (Number.isSafeInteger(integer)) return integer === 0 ? 0 : integer;
  }
  return value;
}

function bounded(value: Big): Decimal | null {
  if (value.e >= MAX_EXPONENT || value.c.length - 1 - value.e > MAX_PLACES) return null;
  return settle(value);
}

/** Reads a number as rows, JSON and drivers give it (number or numeric text); anything else is null. */
export function toDecimal(value: unknown): Decimal | null {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
    return Number.isFinite(value) ? settle(new Exact(value)) : null;
  }
  if (typeof value === 'string') {
    if (INTEGER_TEXT.test(value)) return Number(value) + 0;
    return DECIMAL_TEXT.test(value) ? settle(new Exact(value.replace(/^\+/, ''))) : null;
  }
  if (typeof value === 'bigint') return settle(new Exact(value.toString()));
  return value instanceof Exact || value instanceof Big ? settle(new Exact(value)) : null;
}

function big(value: Decimal): Big {
  return typeof value === 'number' ? new Exact(value) : value;
}

/** Sum; null on overflow. */
export function add(left: Decimal, right: Decimal): Decimal | null {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return bounded(big(left).plus(right));
}

/** Difference; null on overflow. */
export function subtract(left: Decimal, right: Decimal): Decimal | null {
  if (typeof left === 'number' && typeof right === 'number') {
    const difference = left - right;
    if (Number.isSafeInteger(difference)) return difference;
  }
  return bounded(big(left).minus(right));
}

/** Product; null on overflow. */
export function multiply(left: Decimal, right: Decimal): Decimal | null {
  if (typeof left === 'number' && typeof right === 'number') {
    const product = left * right;
    if (Number.isSafeInteger(product)) return product === 0 ? 0 : product;
  }
  return bounded(big(left).times(right));
}

/** Quotient, rounded half to even at 12 places; null when dividing by zero and on overflow. */
export function divide(left: Decimal, right: Decimal): Decimal | null {
  if (right === 0) return null;
  if (typeof left === 'number' && typeof right === 'number') {
    const quotient = left / right;
    if (Number.isSafeInteger(quotient) && quotient * right === left) return quotient === 0 ? 0 : quotient;
  }
  return bounded(big(left).div(right));
}

/** The value with the other sign. */
export function negate(value: Decimal): Decimal {
  return typeof value === 'number' ? (value === 0 ? 0 : -value) : value.neg();
}

/** Negative, zero or positive as `left` is smaller than, equal to or greater than `right`. */
export function compareDecimals(left: Decimal, right: Decimal): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  return big(left).cmp(right);
}

/** Rounded to `places` (-30 to 30), halves away from zero; null when `places` is out of range. */
export function roundDecimal(value: Decimal, places: Decimal): Decimal | null {
  if (typeof places !== 'number' || places < -30 || places > 30) return null;
  if (typeof value === 'number' && places >= 0) return value;
  return bounded(big(value).round(places, Big.roundHalfUp));
}

/** Remainder of the whole-number division towards zero, with the sign of `left`; null when dividing by zero. */
export function remainder(left: Decimal, right: Decimal): Decimal | null {
  if (right === 0) return null;
  if (typeof left === 'number' && typeof right === 'number') return (left % right) + 0;
  return bounded(big(left).mod(right));
}

/** Without its decimal places. */
export function truncateDecimal(value: Decimal): Decimal | null {
  return typeof value === 'number' ? value : bounded(value.round(0, Big.roundDown));
}

/** Text with exactly `places` (0 to 30) decimal places, halves away from zero; null when `places` is out of range or the number too large. */
export function fixedDecimal(value: Decimal, places: Decimal): string | null {
  if (typeof places !== 'number' || places < 0 || places > 30) return null;
  const rounded = roundDecimal(value, places);
  if (rounded === null) return null;
  const text = new Exact(rounded).toFixed(places);
  return /[1-9]/.test(text) ? text : text.replace('-', '');
}

/** Greatest integer not above the value. */
export function floorDecimal(value: Decimal): Decimal | null {
  if (typeof value === 'number') return value;
  const cut = value.round(0, Big.roundDown);
  return bounded(cut.gt(value) || (value.lt(0) && !cut.eq(value)) ? cut.minus(1) : cut);
}

/** Least integer not below the value. */
export function ceilDecimal(value: Decimal): Decimal | null {
  const floor = floorDecimal(negate(value));
  return floor === null ? null : negate(floor);
}

/** Plain notation without exponent or trailing zeros. */
export function decimalText(value: Decimal): string {
  return typeof value === 'number' ? String(value) : value.toFixed();
}

/** What leaves the expression engine: a safe integer as number, every other decimal as its exact text. */
export function plainDecimal(value: Decimal): number | string {
  return typeof value === 'number' ? value : value.toFixed();
}

/** Exact sum of many values, with one overflow check at the end. */
export function sumDecimals(values: readonly Decimal[]): Decimal | null {
  let small = 0;
  let large: Big | null = null;
  for (const value of values) {
    const next = typeof value === 'number' ? small + value : Number.NaN;
    if (Number.isSafeInteger(next)) small = next;
    else large = (large ?? new Exact(0)).plus(value);
  }
  return large === null ? small : bounded(large.plus(small));
}
