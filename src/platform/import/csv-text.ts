import { defuse } from './spreadsheet-cell.ts';

/** A text as a cell of CSV (RFC 4180), safe to open in a spreadsheet. */
export function csvCell(text: string): string {
  const safe = defuse(text);
  return /[",\r\n\t]/.test(safe) || safe !== safe.trim() ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}
