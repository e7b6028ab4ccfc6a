import type { FieldModel } from '../model/types.ts';
import { makeValueOf, QUOTE, type RowCells } from '../query/row-text.ts';
import { putText, type ByteSink } from './byte-sink.ts';
import { firstCells, textKindOf, type RowWriter } from './text-rows.ts';
import { isShortWhole, isUtcInstant, putBoolean, putInstant, type Test } from './text-values.ts';

/** How a field is written, chosen once for a file. */
interface Column {
  readonly cell: number;
  /** What stands before a value, and instead of one that is null. */
  readonly before: Uint8Array;
  readonly empty: Uint8Array;
  /** What passes is copied, as a text if it is one. */
  readonly isPlain: Test;
  readonly isText: boolean;
  readonly write: (cells: RowCells, cell: number, sink: ByteSink) => void;
}

/** Bytes that a value may take besides its own: marks, `false`, the letters of an instant; and the end of a line. */
const BESIDES = 8;
const [CLOSE, LINE_FEED] = [125, 10];

/** Rows as an object of JSON in a line each. */
export function makeNdjsonWriter(fields: readonly FieldModel[]): RowWriter {
  const cells = firstCells(fields);
  const columns = fields.map((field, index) => columnOf(field, cells[index] ?? 0));
  const fixed = columns.reduce((sum, { empty }) => sum + empty.length + BESIDES, BESIDES);
  return { roomFor: (length) => fixed + length, put: (row, sink) => putLine(columns, row, sink) };
}

function putLine(columns: readonly Column[], cells: RowCells, sink: ByteSink): void {
  const { bytes, starts, ends } = cells;
  let { bytes: target, at } = sink;
  for (const { cell, before, empty, isPlain, isText, write } of columns) {
    const start = starts[cell] ?? -1;
    const end = ends[cell] ?? 0;
    const lead = start < 0 ? empty : before;
    for (let index = 0; index < lead.length; index += 1) target[at++] = lead[index] ?? 0;
    if (start < 0) continue;
    if (isPlain(bytes, start, end)) {
      if (isText) target[at++] = QUOTE;
      for (let index = start; index < end; index += 1) target[at++] = bytes[index] ?? 0;
      if (isText) target[at++] = QUOTE;
    } else {
      sink.at = at;
      write(cells, cell, sink);
      ({ bytes: target, at } = sink);
    }
  }
  target[at++] = CLOSE;
  target[at++] = LINE_FEED;
  sink.at = at;
}

const always: Test = () => true;
const never: Test = () => false;

function columnOf(field: FieldModel, cell: number): Column {
  const valueOf = makeValueOf(field);
  const byValue: Column['write'] = (cells, at, sink) => putText(sink, JSON.stringify(valueOf(cells, at)));
  const before = `${cell === 0 ? '{' : ','}${JSON.stringify(field.name)}:`;
  const column = { cell, before: Buffer.from(before), empty: Buffer.from(`${before}null`), isText: true };
  switch (textKindOf(field)) {
    case 'same':
      return { ...column, isPlain: isPlainText, write: byValue };
    case 'sure':
    case 'number':
      return { ...column, isPlain: always, write: byValue };
    case 'whole':
      return { ...column, isPlain: isShortWhole, isText: false, write: byValue };
    case 'boolean':
      return { ...column, isPlain: never, write: putBoolean };
    case 'instant':
      return { ...column, isPlain: never, write: (cells, at, sink) => (isUtcInstant(cells, at) ? putMarkedInstant : byValue)(cells, at, sink) };
    case 'list':
    case 'value':
      return { ...column, isPlain: never, write: byValue };
  }
}

function putMarkedInstant(cells: RowCells, cell: number, sink: ByteSink): void {
  sink.bytes[sink.at++] = QUOTE;
  putInstant(cells, cell, sink);
  sink.bytes[sink.at++] = QUOTE;
}

const [BLANK, BACKSLASH] = [32, 92];

/** True for a text that JSON holds as it is. */
function isPlainText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const sign = bytes[at] ?? 0;
    if (sign < BLANK || sign === QUOTE || sign === BACKSLASH) return false;
  }
  return true;
}
