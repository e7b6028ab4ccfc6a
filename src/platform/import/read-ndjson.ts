import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { ERROR_COLUMNS } from './spreadsheet-cell.ts';
import type { RowSource } from './read-file.ts';
import type { StagedRow } from './types.ts';

const MAX_LINE = 16_000_000;
const MAX_COLUMNS = 5_000;

function readLine(text: string): Readonly<Record<string, unknown>> | string {
  if (text.includes('\uFFFD')) return 'The line holds bytes that are no text in the encoding of the file. Save the file as UTF-8.';
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.fromEntries(Object.entries(value));
    return 'The line is no JSON object.';
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return 'The line is not valid JSON.';
  }
}

/** The lines of a stream of bytes or text; the last one needs no end. */
async function* linesOf(stream: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + (Buffer.isBuffer(chunk) ? decoder.decode(chunk, { stream: true }) : String(chunk))).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) throw new AppError('bad_request', 'A line of the file is longer than 16 million characters.');
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }
  yield rest + decoder.decode();
}

/** Reads one JSON object a line. Its columns are the members' names, in the order in which they first occur. */
export function readNdjson(stream: Readable): RowSource {
  const columns = new Map<string, number>();
  const own = new Set<string>(ERROR_COLUMNS);
  async function* body(): AsyncGenerator<StagedRow> {
    let line = 0;
    for await (const text of linesOf(stream)) {
      line += 1;
      const bare = line === 1 ? text.replace(/^\uFEFF/, '') : text;
      if (bare.trim() === '') continue;
      const read = readLine(bare);
      if (typeof read === 'string') {
        yield { line, cells: [], reason: read };
        continue;
      }
      const cells: unknown[] = [];
      for (const [name, value] of Object.entries(read)) {
        if (own.has(name)) continue;
        const at = columns.get(name) ?? columns.size;
        columns.set(name, at);
        cells[at] = value;
      }
      const reason = columns.size > MAX_COLUMNS ? `The file has more than ${String(MAX_COLUMNS)} different members.` : null;
      yield { line, cells: Array.from(cells, (cell) => cell ?? null), reason };
    }
  }
  return {
    format: 'ndjson',
    header: () => [...columns.keys()],
    rows: body(),
    close: () => {
      stream.destroy();
      return Promise.resolve();
    },
  };
}
