import type { FieldModel } from '../model/types.ts';
import { cellsOf, makeRowCells, type RowCells } from '../query/row-text.ts';
import { castOf } from '../query/values.ts';
import type { TextWalk } from '../query/walk.ts';
import { makeRoom, makeSink, type ByteSink } from './byte-sink.ts';

/** Writes rows into a file of some kind, made once for its fields. */
export interface RowWriter {
  /** Bytes that a row of so many may take, but for what `putText` writes. */
  readonly roomFor: (length: number) => number;
  readonly put: (cells: RowCells, sink: ByteSink) => void;
}

const FIRST_BYTES = 65_536;

/** The rows of a walk as blocks of a file, byte for byte as they would be written from the values. */
export async function* writeTextRows({ fields, pages }: TextWalk, makeWriter: (fields: readonly FieldModel[]) => RowWriter): AsyncGenerator<Buffer> {
  const { roomFor, put } = makeWriter(fields);
  const cells = makeRowCells(fields.reduce((sum, field) => sum + cellsOf(field), 0));
  let size = FIRST_BYTES;
  for await (const page of pages) {
    // A page is about as long as the one before.
    const sink = makeSink(Math.ceil(1.1 * size));
    for (const text of page) {
      makeRoom(sink, roomFor(cells.read(text)));
      put(cells, sink);
    }
    size = sink.at;
    yield sink.bytes.subarray(0, sink.at);
  }
}

/**
 * What PostgreSQL's texts of a field's values are: `same` is a text itself; `sure` has no sign that a file could take for something else,
 * nor have numbers; out of `value` the value must be made.
 */
export type TextKind = 'same' | 'sure' | 'number' | 'whole' | 'boolean' | 'instant' | 'list' | 'value';

export function textKindOf(field: FieldModel): TextKind {
  if (cellsOf(field) > 1) return 'value';
  switch (castOf(field)) {
    case 'text':
      return 'same';
    case 'uuid':
    case 'date':
      return 'sure';
    case 'numeric':
      return field.valueKind === 'integer' ? 'whole' : 'number';
    case 'timestamptz':
      return 'instant';
    case 'boolean':
      return 'boolean';
    case 'text[]':
      return 'list';
    default:
      return 'value';
  }
}

/** The first cell of each field in a row. */
export function firstCells(fields: readonly FieldModel[]): readonly number[] {
  let next = 0;
  return fields.map((field) => {
    const first = next;
    next += cellsOf(field);
    return first;
  });
}
