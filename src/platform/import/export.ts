import type { Knex } from 'knex';
import { readRights } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import type { ObjectModel } from '../model/types.ts';
import { aggregateRecords } from '../query/aggregate.ts';
import { walkRecords, walkTexts } from '../query/walk.ts';
import { csvLine } from './csv-text.ts';
import { auditExport } from './export.sql.ts';
import { csvRows, ndjsonRows, sheetRows, type Column } from './record-rows.ts';
import { makeCsvWriter } from './csv-rows.ts';
import { makeNdjsonWriter } from './ndjson-rows.ts';
import { writeTextRows } from './text-rows.ts';
import type { FileFormat } from './types.ts';
import { MOST_SHEET_ROWS, writeXlsx } from './write-xlsx.ts';

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
  const content = openContent(db, context, object, format, { object: object.name, fields: names, ...asked });
  if (format === 'xlsx') await checkRows(db, context, object, asked);
  await auditExport(db, context, object.name, { format, fields: names, ...asked });
  return { fileName: `${object.plural}.${format}`, mediaType: MEDIA_TYPES[format], content };
}

async function checkRows(db: Knex, context: CallContext, object: ObjectModel, asked: Pick<ExportQuery, 'filter' | 'search' | 'effectiveOn'>): Promise<void> {
  const counted = await aggregateRecords(db, context, { object: object.name, ...asked, measures: [{ as: 'n', op: 'count' }] });
  if (Number(counted.data[0]?.['n'] ?? 0) < MOST_SHEET_ROWS) return;
  throw new AppError('bad_request', `A sheet holds at most ${String(MOST_SHEET_ROWS - 1)} ${object.plural}. Export them as CSV, or filter them.`);
}

/** Checks the query. CSV and NDJSON are written from the texts that PostgreSQL gives wherever these say all, as records are dearer to make. */
function openContent(db: Knex, context: CallContext, object: ObjectModel, format: FileFormat, query: Parameters<typeof walkTexts>[2]): AsyncGenerator<Buffer> {
  const columns = query.fields.map((name): Column => ({ name, field: object.fields.get(name) ?? null }));
  switch (format) {
    case 'csv': {
      const texts = walkTexts(db, context, query);
      return headed(csvLine(query.fields), texts === null ? csvRows(columns, walkRecords(db, context, query)) : writeTextRows(texts, makeCsvWriter));
    }
    case 'ndjson': {
      // A field that is asked for twice stands once in an object.
      const texts = walkTexts(db, context, { ...query, fields: [...new Set(query.fields)] });
      return texts === null ? ndjsonRows(columns, walkRecords(db, context, query)) : writeTextRows(texts, makeNdjsonWriter);
    }
    case 'xlsx':
      return writeXlsx(object.plural, query.fields, sheetRows(columns, walkRecords(db, context, query)));
  }
}

async function* headed(head: string, content: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield Buffer.from(head);
  yield* content;
}
