import type { Readable } from 'node:stream';
import { besideModule, makeChild } from '../child.ts';
import { AppError, isAppError } from '../errors.ts';
import { ERROR_COLUMNS, isErrorFile } from './spreadsheet-cell.ts';
import type { RowSource } from './read-file.ts';
import type { StagedRow } from './types.ts';

/** A workbook is held whole in memory while it is read: larger files come as CSV. */
const MAX_BYTES = 50_000_000;
const PIECE = 1_000;

type SheetRow = { readonly line: number; readonly cells: readonly unknown[] };

/** The boundary to what the child answers. */
function sheetRows(answer: unknown): readonly SheetRow[] {
  if (!Array.isArray(answer)) throw new TypeError('The reader of workbooks gave no rows.');
  return answer.map((row: unknown) => {
    const [line, cells]: readonly unknown[] = Array.isArray(row) ? row : [];
    return { line: Number(line), cells: Array.isArray(cells) ? cells : [] };
  });
}

async function wholeOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    size += bytes.length;
    if (size > MAX_BYTES)
      throw new AppError('payload_too_large', `An XLSX file has at most ${String(MAX_BYTES / 1_000_000)} MB. Save it as CSV, which has no such limit.`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/**
 * Reads the first sheet of a workbook in a child process with limited memory and time. The first row that holds anything names the
 * columns; the line of a row is its number in the sheet.
 * @throws AppError bad_request for what is no workbook or takes too much, payload_too_large
 */
export async function readXlsx(stream: Readable): Promise<RowSource> {
  const bytes = await wholeOf(stream);
  const child = makeChild({ module: besideModule(import.meta.url, 'xlsx-child'), failure: 'The XLSX file cannot be read', timeoutMs: 60_000, memoryMb: 1_500 });
  const ask = async (payload: unknown): Promise<unknown> => {
    try {
      return await child.ask(payload);
    } catch (error) {
      child.close();
      if (!isAppError(error, 'internal')) throw error;
      throw new AppError('bad_request', `${error.message} Open it in a spreadsheet and save it again, or as CSV.`, { cause: error });
    }
  };
  const opened = await ask(bytes);
  const total = typeof opened === 'object' && opened !== null && 'rows' in opened ? Number(opened.rows) : 0;
  const pieces = async function* (): AsyncGenerator<SheetRow> {
    for (let from = 0; from < total; from += PIECE) yield* sheetRows(await ask({ from, count: PIECE }));
  };
  const iterator = pieces();
  const first = await iterator.next();
  if (first.done === true) {
    child.close();
    throw new AppError('bad_request', 'The file is empty. Its first row must name the columns.');
  }
  const named = namedColumns(first.value.cells);
  const from = isErrorFile(named) ? ERROR_COLUMNS.length : 0;
  const header = named.slice(from);
  async function* body(): AsyncGenerator<StagedRow> {
    for await (const row of iterator) {
      const extra = row.cells.slice(named.length).some((cell) => cell !== '');
      const reason = extra ? `The row has more cells than the ${String(named.length)} columns that are named.` : null;
      yield { line: row.line, cells: row.cells.slice(from, named.length), reason };
    }
    child.close();
  }
  return {
    format: 'xlsx',
    header: () => header,
    rows: body(),
    close: () => {
      child.close();
      return Promise.resolve();
    },
  };
}

/** The headings, without the empty columns at the end that spreadsheets leave. */
function namedColumns(cells: readonly unknown[]): readonly string[] {
  const names = cells.map((cell) => String(cell).trim());
  return names.slice(0, names.findLastIndex((name) => name !== '') + 1);
}
