import type { RowCells } from '../query/row-text.ts';
import type { ByteSink } from './byte-sink.ts';

/** Tells something of the bytes from `start` to before `end`, the text of a value as PostgreSQL writes it. */
export type Test = (bytes: Uint8Array, start: number, end: number) => boolean;

const [BLANK, PLUS, MINUS, POINT, ZERO, NINE] = [32, 43, 45, 46, 48, 57];

/** Every whole number of so many digits is exact in JavaScript, and its text the same. */
const SURE_DIGITS = 15;

/** True for a whole number that is the same in JavaScript. */
export function isShortWhole(bytes: Uint8Array, start: number, end: number): boolean {
  const from = bytes[start] === MINUS ? start + 1 : start;
  if (end - from > SURE_DIGITS) return false;
  for (let at = from; at < end; at += 1) if ((bytes[at] ?? 0) < ZERO || (bytes[at] ?? 0) > NINE) return false;
  return true;
}

const LETTER_T = 116;
const [TRUE, FALSE] = [Buffer.from('true'), Buffer.from('false')];

/** Writes PostgreSQL's `t` or `f` as a word; there is room. */
export function putBoolean({ bytes, starts }: RowCells, cell: number, sink: ByteSink): void {
  const word = bytes[starts[cell] ?? 0] === LETTER_T ? TRUE : FALSE;
  for (const letter of word) sink.bytes[sink.at++] = letter;
}

// Where the parts of `2026-11-22 08:30:00.12+00` stand.
const [YEAR_END, DAY_END, SECOND_END] = [4, 10, 19];
const ZONE_LENGTH = 3;
const PLACES = 3;
const [CAPITAL_T, CAPITAL_Z] = [84, 90];

/** True for an instant of a year of four digits, which PostgreSQL writes in UTC. */
export function isUtcInstant({ bytes, starts, ends }: RowCells, cell: number): boolean {
  const start = starts[cell] ?? 0;
  const zone = (ends[cell] ?? 0) - ZONE_LENGTH;
  const isEnd = zone === start + SECOND_END || (bytes[start + SECOND_END] === POINT && zone > start + SECOND_END);
  const isUtc = bytes[zone] === PLUS && bytes[zone + 1] === ZERO && bytes[zone + 2] === ZERO;
  return isEnd && isUtc && bytes[start + YEAR_END] === MINUS && bytes[start + DAY_END] === BLANK;
}

/** Writes such an instant as RFC 3339 with milliseconds, as `toRfc3339` does; there is room. */
export function putInstant({ bytes, starts, ends }: RowCells, cell: number, sink: ByteSink): void {
  const start = starts[cell] ?? 0;
  const zone = (ends[cell] ?? 0) - ZONE_LENGTH;
  const { bytes: target, at } = sink;
  for (let index = 0; index < SECOND_END; index += 1) target[at + index] = bytes[start + index] ?? 0;
  target[at + DAY_END] = CAPITAL_T;
  target[at + SECOND_END] = POINT;
  for (let place = 1; place <= PLACES; place += 1) {
    const found = start + SECOND_END + place;
    target[at + SECOND_END + place] = found < zone ? (bytes[found] ?? 0) : ZERO;
  }
  target[at + SECOND_END + PLACES + 1] = CAPITAL_Z;
  sink.at = at + SECOND_END + PLACES + 2;
}
