import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import type { RecordData } from '../query/types.ts';
import { csvCell } from './csv-text.ts';
import { csvValue, isNumber } from './csv-rows.ts';
import type { SheetCell } from './write-xlsx.ts';

/** A column of a file: a field, or the computed name of the records. */
export type Column = { readonly name: string; readonly field: FieldModel | null };

type Pages = AsyncGenerator<readonly RecordData[]>;

/** Records as lines of CSV. */
export async function* csvRows(columns: readonly Column[], pages: Pages): AsyncGenerator<Buffer> {
  const cell = ({ name, field }: Column, record: RecordData): string => {
    const value = record[name];
    if (value === null || value === undefined) return '';
    return field === null ? csvCell(String(value)) : csvValue(field, value);
  };
  for await (const page of pages) {
    const lines = page.map((record) => columns.map((column) => cell(column, record)).join(','));
    yield Buffer.from(`${lines.join('\r\n')}\r\n`);
  }
}

/** Records as a line of JSON each. */
export async function* ndjsonRows(columns: readonly Column[], pages: Pages): AsyncGenerator<Buffer> {
  for await (const page of pages)
    yield Buffer.from(page.map((record) => `${JSON.stringify(Object.fromEntries(columns.map(({ name }) => [name, record[name] ?? null])))}\n`).join(''));
}

/** Records as rows of a sheet. */
export async function* sheetRows(columns: readonly Column[], pages: Pages): AsyncGenerator<readonly (readonly SheetCell[])[]> {
  for await (const page of pages) yield page.map((record) => columns.map(({ name, field }) => sheetCell(field, record[name])));
}

function sheetCell(field: FieldModel | null, value: unknown): SheetCell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return { kind: 'flag', is: value };
  const text = field === null ? String(value) : fieldType(field).csv(value);
  if (field !== null && isNumber(field)) return { kind: 'number', text };
  return field?.valueKind === 'date' ? { kind: 'day', text } : { kind: 'text', text };
}
