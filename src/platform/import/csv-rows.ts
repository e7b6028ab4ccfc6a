import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import { cellsOf, decode, makeValueOf, QUOTE, type RowCells } from '../query/row-text.ts';
import { putText, type ByteSink } from './byte-sink.ts';
import { csvCell } from './csv-text.ts';
import { firstCells, textKindOf, type RowWriter } from './text-rows.ts';
import { isShortWhole, isUtcInstant, putBoolean, putInstant, type Test } from './text-values.ts';

const NUMBERS: ReadonlySet<string> = new Set(['integer', 'decimal', 'money', 'percent']);

/** True for fields whose values are numbers, which a spreadsheet never takes for anything else. */
export function isNumber(field: FieldModel): boolean {
  return NUMBERS.has(field.valueKind);
}

/** A value as a cell of CSV. */
export function csvValue(field: FieldModel, value: unknown): string {
  const text = fieldType(field).csv(value);
  return isNumber(field) ? text : csvCell(text);
}

/** How a field is written, chosen once for a file. */
interface Column {
  readonly first: number;
  readonly last: number;
  /** What passes stands in the file as it is. */
  readonly isPlain: Test;
  /** Writes what does not pass and is not null. */
  readonly write: (cells: RowCells, cell: number, sink: ByteSink) => void;
}

/** Bytes that a value may take besides its own and its double: `false`, the letters of an instant, an apostrophe, quotation marks. */
const BESIDES = 8;
const [RETURN, LINE_FEED] = [13, 10];

/** Rows as lines of CSV (RFC 4180), safe to open in a spreadsheet. */
export function makeCsvWriter(fields: readonly FieldModel[]): RowWriter {
  const cells = firstCells(fields);
  const columns = fields.map((field, index) => columnOf(field, cells[index] ?? 0));
  const fixed = BESIDES * (columns.length + 1);
  return { roomFor: (length) => fixed + 2 * length, put: (row, sink) => putLine(columns, row, sink) };
}

/** PostgreSQL's text of a row is nearly a line of CSV: runs of cells that both write alike are copied with their commas. */
function putLine(columns: readonly Column[], cells: RowCells, sink: ByteSink): void {
  const { bytes, starts, ends, stops } = cells;
  let { bytes: target, at } = sink;
  let done = 1;
  for (const { first, last, isPlain, write } of columns) {
    const start = starts[first] ?? -1;
    if (start < 0 && first === last) continue;
    const end = ends[first] ?? 0;
    const isQuoted = bytes[start - 1] === QUOTE;
    const isSame = start >= 0 && isPlain(bytes, start, end);
    if (isSame && !isQuoted) continue;
    const until = start < 0 ? (stops[first] ?? 0) : isQuoted ? start - 1 : start;
    while (done < until) target[at++] = bytes[done++] ?? 0;
    if (isSame) for (done = start; done < end;) target[at++] = bytes[done++] ?? 0;
    else if (start >= 0) {
      sink.at = at;
      write(cells, first, sink);
      ({ bytes: target, at } = sink);
    }
    done = stops[last] ?? 0;
  }
  const until = stops[stops.length - 1] ?? 0;
  while (done < until) target[at++] = bytes[done++] ?? 0;
  target[at++] = RETURN;
  target[at++] = LINE_FEED;
  sink.at = at;
}

const always: Test = () => true;
const never: Test = () => false;

function columnOf(field: FieldModel, first: number): Column {
  const valueOf = makeValueOf(field);
  const byValue: Column['write'] = (cells, cell, sink) => putText(sink, csvValue(field, valueOf(cells, cell)));
  const column = { first, last: first + cellsOf(field) - 1 };
  switch (textKindOf(field)) {
    case 'same':
      return { ...column, isPlain: isPlainText, write: ({ bytes, starts, ends }, cell, sink) => putCell(bytes, starts[cell] ?? 0, ends[cell] ?? 0, sink) };
    case 'sure':
    case 'number':
      return { ...column, isPlain: always, write: byValue };
    case 'whole':
      return { ...column, isPlain: isShortWhole, write: byValue };
    case 'boolean':
      return { ...column, isPlain: never, write: putBoolean };
    case 'instant':
      return { ...column, isPlain: never, write: (cells, cell, sink) => (isUtcInstant(cells, cell) ? putInstant : byValue)(cells, cell, sink) };
    case 'list':
      return { ...column, isPlain: never, write: (cells, cell, sink) => (isPlainList(cells, cell) ? putList : byValue)(cells, cell, sink) };
    case 'value':
      return { ...column, isPlain: never, write: byValue };
  }
}

const [BLANK, APOSTROPHE, PLUS, COMMA, SEMICOLON, CAPITAL_N, OPEN, DELETE] = [32, 39, 43, 44, 59, 78, 123, 127];

/** Tells of each byte whether it is one of the signs. */
function among(signs: string): Uint8Array {
  const found = new Uint8Array(256);
  for (const sign of Buffer.from(signs)) found[sign] = 1;
  return found;
}

/** What puts a cell in quotation marks; with what a formula begins; of what numbers are made, and the plainest of them. */
const [QUOTED, FORMULA, NUMERIC, DIGITS] = [among('",\r\n\t'), among('=+-@'), among('0123456789+-.,eE%'), among('0123456789')];

/** False for control characters and letters beyond ASCII: where a text begins or ends with one, it is looked at as a whole. */
const isClear = (sign: number): boolean => sign > BLANK && sign <= DELETE;

/** True for a text of which `csvCell` makes the same. */
function isPlainText(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  const first = bytes[start] ?? 0;
  if (!isClear(first) || !isClear(bytes[end - 1] ?? 0) || first === APOSTROPHE) return false;
  // Telephone numbers, mostly.
  if (FORMULA[first] === 1) return first === PLUS && end > start + 1 && isAll(DIGITS, bytes, start + 1, end);
  // What stands there without marks has no sign that needs some.
  return bytes[start - 1] !== QUOTE || !isAny(QUOTED, bytes, start, end);
}

function isAny(signs: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (signs[bytes[at] ?? 0] === 1) return true;
  return false;
}

function isAll(signs: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (signs[bytes[at] ?? 0] === 0) return false;
  return true;
}

/** Writes a text as `csvCell` does. */
function putCell(bytes: Uint8Array, start: number, end: number, sink: ByteSink): void {
  const first = bytes[start] ?? 0;
  const isFormula = FORMULA[first] === 1;
  if (!isClear(first) || !isClear(bytes[end - 1] ?? 0) || first === APOSTROPHE || (isFormula && isAll(NUMERIC, bytes, start, end))) {
    putText(sink, csvCell(decode(bytes, start, end)));
    return;
  }
  const { bytes: target } = sink;
  let { at } = sink;
  const isQuoted = isAny(QUOTED, bytes, start, end);
  if (isQuoted) target[at++] = QUOTE;
  if (isFormula) target[at++] = APOSTROPHE;
  for (let index = start; index < end; index += 1) {
    const sign = bytes[index] ?? 0;
    if (sign === QUOTE) target[at++] = QUOTE;
    target[at++] = sign;
  }
  if (isQuoted) target[at++] = QUOTE;
  sink.at = at;
}

/** What PostgreSQL puts in quotation marks in a list, and what a cell of CSV cannot hold between semicolons. */
const LISTED = among('"\\{};[');

/** True for a list of codes and the like, which PostgreSQL writes `{a,b}`. */
function isPlainList({ bytes, starts, ends }: RowCells, cell: number): boolean {
  const start = (starts[cell] ?? 0) + 1;
  const end = (ends[cell] ?? 0) - 1;
  // The first item stands for the cell; an item that begins with N may be none, NULL.
  if (bytes[start - 1] !== OPEN || FORMULA[bytes[start] ?? 0] === 1 || bytes[start] === APOSTROPHE) return false;
  for (let at = start; at < end; at += 1) {
    const sign = bytes[at] ?? 0;
    const isFirst = at === start || bytes[at - 1] === COMMA;
    if (!isClear(sign) || LISTED[sign] === 1 || (isFirst && sign === CAPITAL_N)) return false;
  }
  return true;
}

/** Writes such a list with semicolons. */
function putList({ bytes, starts, ends }: RowCells, cell: number, sink: ByteSink): void {
  const { bytes: target } = sink;
  let { at } = sink;
  const end = (ends[cell] ?? 0) - 1;
  for (let index = (starts[cell] ?? 0) + 1; index < end; index += 1) {
    const sign = bytes[index] ?? 0;
    target[at++] = sign === COMMA ? SEMICOLON : sign;
  }
  sink.at = at;
}
