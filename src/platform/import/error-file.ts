import type { Knex } from 'knex';
import { rejectedRows, type RejectedRow } from './import.ts';
import { csvLine } from './csv-text.ts';
import { cellText } from './row-mapper.ts';
import { ERROR_COLUMNS } from './spreadsheet-cell.ts';
import type { FileFormat, Phase } from './types.ts';

/** First line of an error file in CSV. */
export function errorHeader(header: readonly string[]): string {
  return csvLine([...ERROR_COLUMNS, ...header]);
}

/** A rejected row as a line of an error file in CSV: where and why, then the cells as they were. */
export function errorLine(row: RejectedRow): string {
  return csvLine([String(row.line), row.column ?? '', row.reason, ...row.cells.map((cell) => (typeof cell === 'string' ? cell : cellText(cell)))]);
}

function errorObject(row: RejectedRow, header: readonly string[]): string {
  const [line, column, reason] = ERROR_COLUMNS;
  const own = { [line]: row.line, [column]: row.column, [reason]: row.reason };
  return `${JSON.stringify({ ...own, ...Object.fromEntries(header.map((name, index) => [name, row.cells[index] ?? null])) })}\n`;
}

/**
 * The rejected rows of a job as a file that can be corrected and imported again: the columns in front say where and why, and are
 * left out when it comes back. NDJSON for NDJSON, CSV for everything else.
 */
export async function* errorFile(
  db: Knex,
  job: { readonly id: string; readonly header: readonly string[]; readonly format: FileFormat },
  phase: Phase,
): AsyncGenerator<string> {
  if (job.format !== 'ndjson') yield errorHeader(job.header);
  let block = '';
  for await (const row of rejectedRows(db, job.id, phase)) {
    block += job.format === 'ndjson' ? errorObject(row, job.header) : errorLine(row);
    if (block.length < 65_536) continue;
    yield block;
    block = '';
  }
  if (block !== '') yield block;
}
