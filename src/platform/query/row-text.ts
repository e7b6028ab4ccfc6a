import { AppError } from '../errors.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import { parserOf } from '../prepared.ts';
import { joinSql, sql, type Sql } from '../sql.ts';
import { hasObjectColumn, valueParts } from './page.ts';
import type { Source } from './source.ts';
import { castOf } from './values.ts';

/**
 * A row as one text, which PostgreSQL writes faster than the driver reads seventy columns: the values in parentheses, between commas,
 * those with blanks or signs of their own in quotation marks (the output of composite types). `makeRowCells` takes it apart.
 */
export function rowText(source: Source, fields: readonly FieldModel[]): Sql {
  return sql`row(${joinSql(fields.flatMap((field) => valueParts(source, field)))})::text`;
}

/** The cells of one row after the other. */
export interface RowCells {
  /** The row in UTF-8. */
  readonly bytes: Uint8Array;
  /** Where a cell's own text begins (-1: it is null) and ends, without quotation marks. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Where the comma after a cell stands, or the row's last parenthesis. */
  readonly stops: Int32Array;
  /** Takes the next row in and answers its length in bytes. @throws AppError internal for a text of another form */
  readonly read: (text: string) => number;
}

export const QUOTE = 34;
const COMMA = 44;
const CLOSE = 41;
const BACKSLASH = 92;
const FIRST_BYTES = 4_096;
/** Bytes that a character of a string takes at most. */
const WIDEST = 3;

/** Makes what takes apart the texts of rows with so many cells. */
export function makeRowCells(count: number): RowCells {
  const [starts, ends, stops] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
  let bytes = Buffer.allocUnsafe(FIRST_BYTES);
  const cells: RowCells = {
    get bytes() {
      return bytes;
    },
    starts,
    ends,
    stops,
    read: (text) => {
      if (bytes.length < WIDEST * text.length) bytes = Buffer.allocUnsafe(2 * WIDEST * text.length);
      const end = bytes.write(text);
      split(bytes, end, cells);
      if (count === 0 || stops[count - 1] !== end - 1) throw new AppError('internal', 'A row came with other values than were asked for.');
      return end;
    },
  };
  return cells;
}

/** Finds the cells of a row; quoted ones are unquoted where they stand. */
function split(bytes: Uint8Array, end: number, { starts, ends, stops }: RowCells): void {
  let at = 1;
  for (let cell = 0; cell < stops.length; cell += 1) {
    const first = bytes[at];
    if (first === QUOTE) {
      starts[cell] = at + 1;
      at = unquote(bytes, at + 1, end, ends, cell);
    } else {
      starts[cell] = first === COMMA || first === CLOSE ? -1 : at;
      while (at < end && bytes[at] !== COMMA && bytes[at] !== CLOSE) at += 1;
      ends[cell] = at;
    }
    stops[cell] = at;
    at += 1;
  }
}

/** Sets the end of a quoted cell and answers the place after it. Signs that stand twice in it mean one. */
function unquote(bytes: Uint8Array, from: number, end: number, ends: Int32Array, cell: number): number {
  let at = from;
  while (at < end && bytes[at] !== QUOTE && bytes[at] !== BACKSLASH) at += 1;
  let to = at;
  while (at < end) {
    const sign = bytes[at] ?? 0;
    if (sign === QUOTE || sign === BACKSLASH) {
      at += 1;
      if (sign === QUOTE && bytes[at] !== QUOTE) break;
    }
    bytes[to] = sign;
    to += 1;
    at += 1;
  }
  ends[cell] = to;
  return at;
}

/** The text of a cell, null for none. */
export function textOf({ bytes, starts, ends }: RowCells, cell: number): string | null {
  const start = starts[cell] ?? -1;
  return start < 0 ? null : decode(bytes, start, ends[cell] ?? start);
}

/** Bytes from `start` to before `end` as text. */
export function decode(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}

/** How many values of a row a field has. */
export function cellsOf(field: FieldModel): number {
  return hasObjectColumn(field) ? 2 : 1;
}

/** PostgreSQL's numbers of the types whose texts the driver makes something else of. */
const DRIVER_TYPES: Readonly<Record<string, number>> = { boolean: 16, 'text[]': 1009, jsonb: 3802 };

/** Makes the function that gives a field's value, which begins in a cell of a row, as records have it. */
export function makeValueOf(field: FieldModel): (cells: RowCells, cell: number) => unknown {
  const typeId = DRIVER_TYPES[castOf(field)];
  const parse = typeId === undefined ? (text: string): unknown => text : parserOf(typeId);
  const { format } = fieldType(field);
  const isPointer = hasObjectColumn(field);
  return (cells, cell) => {
    const text = textOf(cells, cell);
    const value = text === null ? null : format(parse(text));
    return isPointer && value !== null ? { object: textOf(cells, cell + 1), id: value } : value;
  };
}
