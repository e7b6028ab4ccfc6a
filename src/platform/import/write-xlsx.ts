import { zip, type ZipEntry } from './zip.ts';

/** A cell of a sheet. Text is always text: what looks like a formula is none. */
export type SheetCell =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'day'; readonly text: string }
  | { readonly kind: 'flag'; readonly is: boolean }
  | null;

/** Rows of a sheet, its heading among them. */
export const MOST_SHEET_ROWS = 1_048_576;

const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006';
const TYPE = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

const PARTS: Readonly<Record<string, string>> = {
  '[Content_Types].xml': `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="${TYPE}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${TYPE}.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="${TYPE}.styles+xml"/></Types>`,
  '_rels/.rels': `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
  'xl/_rels/workbook.xml.rels': `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="${OFFICE}/styles" Target="styles.xml"/></Relationships>`,
  'xl/styles.xml': `<styleSheet xmlns="${MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf xfId="0"/><xf xfId="0" numFmtId="164" applyNumberFormat="1"/><xf xfId="0" fontId="1" applyFont="1"/></cellXfs></styleSheet>`,
};

/** Text of an element: what XML cannot hold is written as spreadsheets write it. */
function escapeXml(text: string): string {
  return (
    text
      .replaceAll(/_x[0-9A-Fa-f]{4}_/g, '_x005F$&')
      // What is no character of XML.
      .replaceAll(
        /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu,
        (sign) => `_x${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}_`,
      )
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('\r', '&#13;')
  );
}

/** The number of a day in spreadsheets, which count from 1900 as if it had been a leap year; null before March 1900. */
function serialOf(day: string): number | null {
  const serial = (Date.parse(`${day}T00:00:00Z`) - Date.UTC(1899, 11, 30)) / 86_400_000;
  return Number.isInteger(serial) && serial > 60 ? serial : null;
}

const inline = (text: string, style = ''): string => `<c${style} t="inlineStr"><is><t xml:space="preserve">${escapeXml(text)}</t></is></c>`;

function cellXml(cell: SheetCell): string {
  if (cell === null) return '<c/>';
  switch (cell.kind) {
    case 'text':
      return inline(cell.text);
    case 'number':
      // Spreadsheets keep 15 digits; longer numbers stay exact as text.
      return cell.text.replaceAll(/\D/g, '').length > 15 ? inline(cell.text) : `<c><v>${escapeXml(cell.text)}</v></c>`;
    case 'day': {
      const serial = serialOf(cell.text);
      return serial === null ? inline(cell.text) : `<c s="1"><v>${String(serial)}</v></c>`;
    }
    case 'flag':
      return `<c t="b"><v>${cell.is ? '1' : '0'}</v></c>`;
  }
}

async function* sheet(heading: readonly string[], pages: AsyncIterable<readonly (readonly SheetCell[])[]>): AsyncGenerator<Buffer> {
  yield Buffer.from(
    `${HEAD}<worksheet xmlns="${MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData><row>${heading.map((text) => inline(text, ' s="2"')).join('')}</row>`,
  );
  let count = 1;
  for await (const rows of pages) {
    count += rows.length;
    if (count > MOST_SHEET_ROWS) throw new RangeError(`A sheet has at most ${String(MOST_SHEET_ROWS)} rows.`);
    yield Buffer.from(rows.map((row) => `<row>${row.map(cellXml).join('')}</row>`).join(''));
  }
  yield Buffer.from('</sheetData></worksheet>');
}

async function* whole(text: string): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from(`${HEAD}${text}`));
}

/** Writes one sheet as an XLSX file, as a stream in constant memory. Libraries hold the whole workbook. */
export function writeXlsx(name: string, heading: readonly string[], pages: AsyncIterable<readonly (readonly SheetCell[])[]>): AsyncGenerator<Buffer> {
  const title = escapeXml(name.replaceAll(/[\\/?*[\]:]/g, ' ').slice(0, 31));
  const workbook = `<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><sheets><sheet name="${title.replaceAll('"', '&quot;')}" sheetId="1" r:id="rId1"/></sheets></workbook>`;
  const entries: readonly ZipEntry[] = [
    ...Object.entries(PARTS).map(([part, text]) => ({ name: part, content: whole(text) })),
    { name: 'xl/workbook.xml', content: whole(workbook) },
    { name: 'xl/worksheets/sheet1.xml', content: sheet(heading, pages) },
  ];
  return zip(entries);
}
