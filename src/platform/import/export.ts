import type { Knex } from 'knex';
import { readRights } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { aggregateRecords } from '../query/aggregate.ts';
import type { RecordData } from '../query/types.ts';
import { walkRecords } from '../query/walk.ts';
import { csvCell } from './csv-text.ts';
import { auditExport } from './export.sql.ts';
import type { FileFormat } from './types.ts';
import { MOST_SHEET_ROWS, writeXlsx, type SheetCell } from './write-xlsx.ts';

export interface ExportQuery {
  readonly object: string;
  readonly format: FileFormat;
  /** CEL text. */
  readonly filter?: string;
  readonly search?: string;
  /** Only facts in force on this day. */
  readonly effectiveOn?: string;
  /** Field names; all that may be read unless told. */
  readonly fields?: readonly string[];
}

export interface ExportFile {
  readonly fileName: string;
  readonly mediaType: string;
  readonly content: AsyncGenerator<Buffer>;
}

const MEDIA_TYPES: Readonly<Record<FileFormat, string>> = {
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
};
const NUMBERS: ReadonlySet<string> = new Set(['integer', 'decimal', 'money', 'percent']);

type Column = { readonly name: string; readonly field: FieldModel | null };

/**
 * All records that fit, as a file that streams in constant memory. Rights and the query are checked, and the export is noted in the
 * audit, before the first byte. In CSV, text that a spreadsheet would take for a formula begins with an apostrophe; imports take it off again.
 * @throws AppError forbidden (no right to export), not_found, invalid_query, bad_request (too many rows for a sheet)
 */
export async function exportRecords(db: Knex, context: CallContext, query: ExportQuery): Promise<ExportFile> {
  const rights = readRights(context, query.object);
  const { object } = rights;
  if (!rights.canExport) throw new AppError('forbidden', `You may not export ${object.plural}.`);
  const names = query.fields ?? [...object.fields.keys()].filter((name) => rights.readable.has(name) && name !== 'deletedAt');
  const { filter, search, effectiveOn, format } = query;
  const asked = {
    ...(filter === undefined ? {} : { filter }),
    ...(search === undefined ? {} : { search }),
    ...(effectiveOn === undefined ? {} : { effectiveOn }),
  };
  const pages = walkRecords(db, context, { object: object.name, fields: names, ...asked });
  if (format === 'xlsx') await checkRows(db, context, object, asked);
  await auditExport(db, context, object.name, { format, fields: names, ...asked });
  const columns = names.map((name): Column => ({ name, field: object.fields.get(name) ?? null }));
  return { fileName: `${object.plural}.${format}`, mediaType: MEDIA_TYPES[format], content: contentOf(format, object, columns, pages) };
}

async function checkRows(db: Knex, context: CallContext, object: ObjectModel, asked: Pick<ExportQuery, 'filter' | 'search' | 'effectiveOn'>): Promise<void> {
  const counted = await aggregateRecords(db, context, { object: object.name, ...asked, measures: [{ as: 'n', op: 'count' }] });
  if (Number(counted.data[0]?.['n'] ?? 0) < MOST_SHEET_ROWS) return;
  throw new AppError('bad_request', `A sheet holds at most ${String(MOST_SHEET_ROWS - 1)} ${object.plural}. Export them as CSV, or filter them.`);
}

function contentOf(format: FileFormat, object: ObjectModel, columns: readonly Column[], pages: AsyncGenerator<readonly RecordData[]>): AsyncGenerator<Buffer> {
  switch (format) {
    case 'csv':
      return csv(columns, pages);
    case 'ndjson':
      return ndjson(columns, pages);
    case 'xlsx':
      return writeXlsx(
        object.plural,
        columns.map(({ name }) => name),
        sheetRows(columns, pages),
      );
  }
}

function textOf(field: FieldModel | null, value: unknown): string {
  if (value === null || value === undefined) return '';
  return field === null ? String(value) : fieldType(field).csv(value);
}

const isNumber = (field: FieldModel | null): boolean => field !== null && NUMBERS.has(field.valueKind);

async function* csv(columns: readonly Column[], pages: AsyncGenerator<readonly RecordData[]>): AsyncGenerator<Buffer> {
  const cells = columns.map(({ name, field }) => ({ name, field, isPlain: isNumber(field) }));
  yield Buffer.from(`${columns.map(({ name }) => csvCell(name)).join(',')}\r\n`);
  for await (const page of pages) {
    const lines = page.map((record) =>
      cells
        .map(({ name, field, isPlain }) => {
          const text = textOf(field, record[name]);
          return isPlain || text === '' ? text : csvCell(text);
        })
        .join(','),
    );
    yield Buffer.from(`${lines.join('\r\n')}\r\n`);
  }
}

async function* ndjson(columns: readonly Column[], pages: AsyncGenerator<readonly RecordData[]>): AsyncGenerator<Buffer> {
  for await (const page of pages)
    yield Buffer.from(page.map((record) => `${JSON.stringify(Object.fromEntries(columns.map(({ name }) => [name, record[name] ?? null])))}\n`).join(''));
}

async function* sheetRows(columns: readonly Column[], pages: AsyncGenerator<readonly RecordData[]>): AsyncGenerator<readonly (readonly SheetCell[])[]> {
  for await (const page of pages) yield page.map((record) => columns.map(({ name, field }) => sheetCell(field, record[name])));
}

function sheetCell(field: FieldModel | null, value: unknown): SheetCell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return { kind: 'flag', is: value };
  const text = textOf(field, value);
  if (isNumber(field)) return { kind: 'number', text };
  return field?.valueKind === 'date' ? { kind: 'day', text } : { kind: 'text', text };
}
