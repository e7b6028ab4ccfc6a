/**
 * Text order: the same function fills sort columns, makes cursors and compares in JavaScript, so that every server
 * orders alike whatever its locale. The keys themselves are compared by code point (COLLATE "C").
 */
export function sortKey(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/\d+/g, (digits) => digits.replace(/^0+(?=\d)/, '').padStart(12, '0'))
    .trim();
}

/** Characters that the key holds wherever they stand, but for their case: no digits, which are filled up, and no blank at either end, which is cut off. */
const KEPT_START = /^[!-/:-~](?:[ -/:-~]*[!-/:-~])?/;

/** What the sort key of every text begins with that begins with this one; empty where nothing can be said. */
export function sortKeyStart(text: string): string {
  return (KEPT_START.exec(text)?.[0] ?? '').toLowerCase();
}

/** Compares by code point, as PostgreSQL does under COLLATE "C": negative, zero or positive. */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const [first, second] = [left.charCodeAt(index), right.charCodeAt(index)];
    if (first !== second) return rank(first) - rank(second);
  }
  return left.length - right.length;
}

/** UTF-16 puts surrogates (characters beyond U+FFFF) before U+E000; code point order puts them last. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
