import { sortKey } from '../expression/sort-key.ts';
import type { Likeness } from '../metadata/matching-types.ts';

/** How alike two values are, from 0 (not at all) to 1 (the same). Both are texts that are not empty. */
export function likeness(as: Likeness, left: string, right: string): number {
  switch (as) {
    case 'exact':
      return plain(left) === plain(right) ? 1 : 0;
    case 'digits':
      return digits(left) === digits(right) && digits(left) !== '' ? 1 : 0;
    case 'name':
      return nameLikeness(words(left), words(right));
    case 'text':
      return dice(plain(left), plain(right));
  }
}

/** Letters and digits only, marks and case off, a blank between words. */
function plain(text: string): string {
  return sortKey(text)
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

const words = (text: string): readonly string[] => plain(text).split(' ').filter(Boolean);

/** The last ten digits: a country code in front makes no difference. */
function digits(text: string): string {
  return text.replaceAll(/\D/g, '').slice(-10);
}

/** Names word by word, in whatever order they stand: an initial stands for a name that begins with it. */
function nameLikeness(left: readonly string[], right: readonly string[]): number {
  const [fewer, more] = left.length <= right.length ? [left, [...right]] : [right, [...left]];
  if (fewer.length === 0) return 0;
  let sum = 0;
  for (const word of fewer) {
    const scores = more.map((other) => wordLikeness(word, other));
    const best = Math.max(0, ...scores);
    more.splice(scores.indexOf(best), best > 0 ? 1 : 0);
    sum += best;
  }
  return sum / fewer.length;
}

function wordLikeness(left: string, right: string): number {
  const [short, long] = left.length <= right.length ? [left, right] : [right, left];
  return short.length === 1 && long.startsWith(short) ? 0.9 : jaroWinkler(left, right);
}

/** Jaro's similarity of two words with Winkler's bonus for a common beginning (at most four letters, 0.1 each). */
export function jaroWinkler(left: string, right: string): number {
  if (left === right) return 1;
  const reach = Math.max(0, Math.floor(Math.max(left.length, right.length) / 2) - 1);
  const taken = new Set<number>();
  const matched: string[] = [];
  for (const [index, letter] of [...left].entries()) {
    for (let at = Math.max(0, index - reach); at <= Math.min(right.length - 1, index + reach); at += 1) {
      if (taken.has(at) || right[at] !== letter) continue;
      taken.add(at);
      matched.push(letter);
      break;
    }
  }
  const count = matched.length;
  if (count === 0) return 0;
  const other = [...taken].sort((first, second) => first - second).map((at) => right[at]);
  const swapped = matched.filter((letter, index) => letter !== other[index]).length / 2;
  const jaro = (count / left.length + count / right.length + (count - swapped) / count) / 3;
  let prefix = 0;
  while (prefix < 4 && prefix < left.length && left[prefix] === right[prefix]) prefix += 1;
  return jaro + prefix * 0.1 * (1 - jaro);
}

/** Dice's coefficient over pairs of letters. */
function dice(left: string, right: string): number {
  if (left === right) return 1;
  const [first, second] = [pairs(left), pairs(right)];
  let common = 0;
  for (const [pair, count] of first) common += Math.min(count, second.get(pair) ?? 0);
  const total = Math.max(1, left.length - 1 + (right.length - 1));
  return (2 * common) / total;
}

function pairs(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (let index = 0; index < text.length - 1; index += 1) {
    const pair = text.slice(index, index + 2);
    found.set(pair, (found.get(pair) ?? 0) + 1);
  }
  return found;
}
