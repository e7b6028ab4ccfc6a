import { CsvError, parse } from 'csv-parse';
import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import type { StagedRow } from './staging.sql.ts';

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

export interface CsvFile {
  readonly header: readonly string[];
  readonly rows: AsyncIterable<StagedRow>;
  /** Ends reading early; call it whatever happens. */
  close(): Promise<void>;
}

/**
 * Reads CSV as a stream: BOM, quotes, line breaks within quotes and CRLF are understood. The line of a row is the one it begins on.
 * @throws AppError bad_request for an empty file or a quote that never ends, with the line
 */
export async function readCsv(stream: Readable, delimiter: string): Promise<CsvFile> {
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
  const first = await next();
  if (first === null) throw new AppError('bad_request', 'The file is empty. Its first line must name the columns.');
  const header = first.record.map((heading) => heading.trim());
  async function* body(): AsyncGenerator<StagedRow> {
    let line = first === null ? 1 : first.info.lines + 1;
    for (let row = await next(); row !== null; row = await next()) {
      const cells = row.record;
      const hasNul = cells.some((cell) => cell.includes('\u0000'));
      const reason =
        cells.length !== header.length
          ? `The row has ${String(cells.length)} cells where the header has ${String(header.length)}.`
          : hasNul
            ? 'The row holds a NUL character.'
            : cells.some((cell) => cell.length > MAX_CELL)
              ? 'A cell is longer than a million characters.'
              : null;
      yield { line, cells: hasNul ? cells.map((cell) => cell.replaceAll('\u0000', '')) : cells, reason };
      line = row.info.lines + 1;
    }
  }
  return {
    header,
    rows: body(),
    close: async () => {
      await iterator.return?.();
    },
  };
}
