import type { Io } from './command.ts';

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
