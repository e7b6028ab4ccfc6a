import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { ERROR_COLUMNS } from './spreadsheet-cell.ts';
import type { RowSource } from './read-file.ts';
import type { StagedRow } from './types.ts';

const MAX_LINE = 16_000_000;
const MAX_COLUMNS = 5_000;

function readLine(text: string): Readonly<Record<string, unknown>> | string {
  if (text.length > MAX_LINE) return 'The line is longer than 16 million characters.';
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.fromEntries(Object.entries(value));
    return 'The line is no JSON object.';
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return 'The line is not valid JSON.';
  }
}

/** Reads one JSON object a line. Its columns are the members' names, in the order in which they first occur. */
export function readNdjson(stream: Readable): RowSource {
  const columns = new Map<string, number>();
  const own = new Set<string>(ERROR_COLUMNS);
  const lines = createInterface({ input: stream, crlfDelay: Infinity });
  async function* body(): AsyncGenerator<StagedRow> {
    let line = 0;
    for await (const text of lines) {
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
      lines.close();
      stream.destroy();
      return Promise.resolve();
    },
  };
}
