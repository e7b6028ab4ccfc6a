import { AppError } from '../errors.ts';

/**
 * What values that an expression makes may measure. SQL and JavaScript keep to the same figures: what would be larger is
 * null. They are limits of the language, not of any rule or law.
 */

/** No text made by an expression is longer (in code points). */
export const MAX_TEXT = 100_000;

/** No list made by an expression has more elements. */
export const MAX_LIST = 1000;

/**
 * Steps that one evaluation in JavaScript may take: a node for each record or element that a question looks at, and one
 * for every eight characters that a function handles. They take up to 70 ms. PostgreSQL has its statement time-outs.
 */
export const MAX_WORK = 3_000_000;
let left = MAX_WORK;
let running = '';

/** Begins the evaluation of a text. Evaluations are synchronous, so one counter serves; a policy that is asked on the way begins anew. */
export function beginWork(text: string): void {
  left = MAX_WORK;
  running = text;
}

/** Counts steps. Throws invalid_expression when there have been too many: a half-done evaluation has no answer. */
export function spend(steps: number): void {
  left -= steps;
  if (left >= 0) return;
  const detail = `This expression needs more than ${MAX_WORK.toLocaleString('en-US')} steps for one record.`;
  const fix = 'Keep what it asks of many records in a roll-up field, or make its texts and lists shorter.';
  throw new AppError('invalid_expression', `${detail} ${fix} (${running.slice(0, 200)})`, { errors: [{ pointer: '', code: 'too_costly', detail, fix }] });
}

/** Counts the handling of characters. */
export function spendText(characters: number): void {
  spend(characters >> 3);
}

/** Length in code points. */
export function codePoints(text: string): number {
  let count = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit <= 0xdbff) index += 1;
    count += 1;
  }
  return count;
}

/** Makes a text whose length in UTF-16 units is known beforehand; null when it would be too long. */
export function makeText(units: number, make: () => string): string | null {
  if (units > 2 * MAX_TEXT) return null;
  spendText(units);
  const text = make();
  return units <= MAX_TEXT || codePoints(text) <= MAX_TEXT ? text : null;
}

/** The list, or null when it is too long. */
export function makeList<T>(list: readonly T[]): readonly T[] | null {
  spend(list.length);
  return list.length <= MAX_LIST ? list : null;
}

/** The characters (code points) from `start` up to, not including, `end`; reads no further than that. */
export function slicePoints(text: string, start: number, end: number): string {
  let [point, unit, from] = [0, 0, start <= 0 ? 0 : text.length];
  while (unit < text.length && point < end) {
    if (point === start) from = unit;
    const code = text.charCodeAt(unit);
    unit += code >= 0xd800 && code <= 0xdbff ? 2 : 1;
    point += 1;
  }
  spendText(unit);
  return start >= end ? '' : text.slice(from, unit);
}

/** The last characters (code points), at most that many; reads no others. */
export function lastPoints(text: string, count: number): string {
  let unit = text.length;
  for (let point = 0; point < count && unit > 0; point += 1) {
    const code = text.charCodeAt(unit - 1);
    unit -= code >= 0xdc00 && code <= 0xdfff ? 2 : 1;
  }
  spendText(text.length - unit);
  return text.slice(unit);
}
