import { CsvError, parse } from 'csv-parse';
import { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { isErrorFile, ERROR_COLUMNS, undefuse } from './spreadsheet-cell.ts';
import type { RowSource } from './read-file.ts';
import type { StagedRow } from './types.ts';

const MAX_CELL = 1_000_000;

interface Parsed {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/** The boundary to the parser, which gives `{record, info}` for every row. */
function parsed(value: unknown): Parsed {
  if (typeof value !== 'object' || value === null || !('record' in value) || !('info' in value)) throw new TypeError('The CSV parser gave no row.');
  const { record, info } = value;
  const lines: unknown = typeof info === 'object' && info !== null && 'lines' in info ? info.lines : 0;
  return { record: Array.isArray(record) ? record.map(String) : [], info: { lines: Number(lines) } };
}

const DELIMITERS = [',', ';', '\t', '|'] as const;

/** The delimiter that a first line uses most, outside quotes; a comma when it uses none. */
export function guessDelimiter(head: string): string {
  const line = /^(?:"(?:[^"]|"")*"|[^"\r\n])*/.exec(head.replace(/^\uFEFF/, ''))?.[0] ?? '';
  const bare = line.replaceAll(/"(?:[^"]|"")*"/g, '');
  const counts = DELIMITERS.map((delimiter) => ({ delimiter, count: bare.split(delimiter).length - 1 }));
  return counts.reduce((best, next) => (next.count > best.count ? next : best)).delimiter;
}

/** Why a row cannot be used, or null. */
function complaintAbout(cells: readonly string[], width: number): string | null {
  if (cells.length !== width) return `The row has ${String(cells.length)} cells where the header has ${String(width)}.`;
  if (cells.some((cell) => cell.includes('\u0000'))) return 'The row holds a NUL character.';
  if (cells.some((cell) => cell.includes('\uFFFD'))) return 'The row holds bytes that are no text in the encoding of the file. Save the file as UTF-8.';
  return cells.some((cell) => cell.length > MAX_CELL) ? 'A cell is longer than a million characters.' : null;
}

/** Line breaks within the cells of a row: as the parser counts them (CRLF as two), and as people do. */
function breaksWithin(cells: readonly string[]): { readonly counted: number; readonly real: number } {
  const matches = (pattern: RegExp): number => cells.reduce((sum, cell) => sum + (cell.match(pattern)?.length ?? 0), 0);
  return { counted: matches(/[\r\n]/g), real: matches(/\r\n|\r|\n/g) };
}

/** Makes the function that tells the line on which a row begins: blank lines before it and breaks within it do not move it. */
function makeLineOf(): (row: Parsed) => number {
  let [last, surplus] = [0, 0];
  return ({ record, info }) => {
    const isOneLine = info.lines - last === 1;
    last = info.lines;
    if (isOneLine) return info.lines - surplus;
    const { counted, real } = breaksWithin(record);
    const line = info.lines - counted - surplus;
    surplus += counted - real;
    return line;
  };
}

/**
 * Reads CSV as a stream: BOM, quotes, line breaks within quotes and CRLF are understood. The line of a row is the one it begins on.
 * An error file that comes back is read without the columns that were put before it.
 * @throws AppError bad_request for an empty file or a quote that never ends, with the line
 */
export async function readCsv(stream: Readable, delimiter: string): Promise<RowSource> {
  const parser = stream.pipe(
    parse({
      bom: true,
      delimiter,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      record_delimiter: ['\r\n', '\n', '\r'],
      max_record_size: 16 * MAX_CELL,
    }),
  );
  stream.on('error', (error) => parser.destroy(error));
  parser.on('close', () => stream.destroy());
  // Whoever reads the rows gets the error from the iterator; one that comes after reading ended early concerns nobody.
  parser.on('error', () => stream.destroy());
  const iterator = parser[Symbol.asyncIterator]();
  const next = async (): Promise<Parsed | null> => {
    try {
      const step: IteratorResult<unknown> = await iterator.next();
      return step.done === true ? null : parsed(step.value);
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      throw new AppError('bad_request', `The CSV file is broken: ${error.message} Check the quotes near that line.`, { cause: error });
    }
  };
  const lineOf = makeLineOf();
  const first = await next();
  if (first === null) throw new AppError('bad_request', 'The file is empty. Its first line must name the columns.');
  lineOf(first);
  const named = first.record.map((heading) => heading.trim());
  const from = isErrorFile(named) ? ERROR_COLUMNS.length : 0;
  const header = named.slice(from);
  async function* body(): AsyncGenerator<StagedRow> {
    for (let row = await next(); row !== null; row = await next()) {
      const reason = complaintAbout(row.record, named.length);
      const own = from === 0 ? row.record : row.record.slice(from);
      yield { line: lineOf(row), cells: own.map((cell) => undefuse(reason === null ? cell : cell.replaceAll('\u0000', ''))), reason };
    }
  }
  return {
    format: 'csv',
    header: () => header,
    rows: body(),
    close: async () => {
      await iterator.return?.();
    },
  };
}
