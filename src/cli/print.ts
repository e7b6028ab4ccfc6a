import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Call, Io } from './command.ts';

/** One value as a table cell. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(cellText).join(';');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Rows as a table with aligned columns. */
export function printTable(io: Io, columns: readonly string[], rows: readonly (readonly unknown[])[]): void {
  const texts = rows.map((row) => row.map((value) => cellText(value).replaceAll(/\s+/g, ' ').slice(0, 60)));
  const widths = columns.map((name, index) => Math.max(name.length, ...texts.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd()}\n`;
  io.out(line(columns));
  for (const row of texts) io.out(line(row));
}

export function printJson(io: Io, value: unknown): void {
  io.out(`${JSON.stringify(value, null, 2)}\n`);
}

/** Text into the file that `--out` names, or to standard output. Writes. */
export function writeOut(call: Call, text: string): void {
  const out = call.option('out');
  if (out === null || out === '-') call.io.out(text);
  else writeFileSync(resolve(call.io.directory, out), text);
}
