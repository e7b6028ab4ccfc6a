/** Child process of `read-xlsx.ts`: holds one workbook and gives its rows piece by piece, within its own memory and time. */
import { read, SSF, type CellObject, type WorkSheet } from '@e965/xlsx';
import { answerParent } from '../child.ts';

/** Rows of a sheet: the number of the row in the sheet, and its cells. */
type SheetRow = readonly [line: number, cells: readonly unknown[]];

let sheet: WorkSheet | null = null;
let last = { row: -1, column: -1 };

const two = (value: number): string => String(value).padStart(2, '0');

/** A cell as CSV would hold it: days and instants as ISO text, codes with leading zeros as shown, formulas as their stored result. */
function valueOf(cell: CellObject | undefined): unknown {
  if (cell === undefined || cell.v === undefined || cell.v === null) return '';
  if (cell.t === 'e') return String(cell.w ?? '#ERROR!');
  if (typeof cell.v !== 'number') return typeof cell.v === 'boolean' ? cell.v : String(cell.v);
  const format = String(cell.z ?? 'General');
  if (SSF.is_date(format)) {
    const { y, m, d, H, M, S } = SSF.parse_date_code(cell.v);
    const day = `${String(y).padStart(4, '0')}-${two(m)}-${two(d)}`;
    if (cell.v < 1) return `${two(H)}:${two(M)}`;
    return Number.isInteger(cell.v) ? day : `${day}T${two(H)}:${two(M)}:${two(Math.floor(S))}`;
  }
  if (/^0{2,}$/.test(format) && cell.w !== undefined) return cell.w;
  return plainNumber(cell.v);
}

function plainNumber(value: number): string {
  const text = String(value);
  return text.includes('e') && Number.isInteger(value) ? BigInt(value).toString() : text;
}

function open(bytes: Uint8Array): { readonly rows: number } {
  const book = read(bytes, { type: 'buffer', dense: true, cellFormula: false, cellHTML: false, cellNF: true, cellText: true });
  const name = book.SheetNames[0];
  const found = name === undefined ? undefined : book.Sheets[name];
  if (found === undefined) throw new Error('The workbook has no sheet.');
  sheet = found;
  // The range that a sheet states may be a million rows of nothing: what counts is what it holds.
  const data = found['!data'] ?? [];
  last = { row: data.length - 1, column: data.reduce((most, row) => Math.max(most, row?.length ?? 0), 0) - 1 };
  return { rows: data.length };
}

/** Rows from `from` (counted from 0), at most `count`; blank ones are left out. */
function piece(from: number, count: number): readonly SheetRow[] {
  const data = sheet?.['!data'] ?? [];
  const rows: SheetRow[] = [];
  for (let at = from; at < Math.min(from + count, last.row + 1); at += 1) {
    const cells = Array.from({ length: last.column + 1 }, (_, column) => valueOf(data[at]?.[column]));
    if (cells.some((cell) => cell !== '')) rows.push([at + 1, cells]);
  }
  return rows;
}

answerParent((payload) => {
  if (payload instanceof Uint8Array) return Promise.resolve(open(payload));
  if (typeof payload === 'object' && payload !== null && 'from' in payload && 'count' in payload)
    return Promise.resolve(piece(Number(payload.from), Number(payload.count)));
  return Promise.reject(new TypeError('A workbook is opened with its bytes, then read piece by piece.'));
});
