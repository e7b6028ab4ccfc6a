import { read, utils } from '@e965/xlsx';
import { expect } from 'chai';
import fc from 'fast-check';
import { Readable } from 'node:stream';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { csvCell } from '../../../src/platform/import/csv-text.ts';
import { exportRecords, type ExportQuery } from '../../../src/platform/import/export.ts';
import { makeImporter } from '../../../src/platform/import/import.ts';
import { openRows } from '../../../src/platform/import/read-file.ts';
import { defuse, undefuse } from '../../../src/platform/import/spreadsheet-cell.ts';
import { writeXlsx } from '../../../src/platform/import/write-xlsx.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { addPeople, ANNA, contextOf, makeLibrary, SYSTEM, type Library } from '../record/fixtures/library.ts';

async function bytesOf(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function readBack(fileName: string, bytes: Buffer): Promise<{ readonly header: readonly string[]; readonly rows: readonly (readonly unknown[])[] }> {
  const file = await openRows({ fileName, content: Readable.from([bytes]), delimiter: null });
  const found: (readonly unknown[])[] = [];
  for await (const row of file.rows) {
    expect(row.reason).to.equal(null);
    found.push(row.cells);
  }
  await file.close();
  return { header: file.header(), rows: found };
}

const EVIL = ['=1+1', '+cmd', '-2+3', '@SUM(A1)', '\tx', '\rx', '=HYPERLINK("http://x","y")', "'=1", '-5', '+1 413', '1,5', '"quoted"', ' lead', 'semi;colon'];

describe('cells that spreadsheets would take for formulas', () => {
  it('begin with an apostrophe; numbers stay numbers', () => {
    for (const text of ['=1+1', '+cmd', '-2+3x', '@SUM(A1)', '\tx', '\rx', "'=1"]) expect(defuse(text), text).to.equal(`'${text}`);
    for (const text of ['-5', '+1.5', '-1,000', '2e10', '-7%', 'a=b', '', 'x-y']) expect(defuse(text), text).to.equal(text);
  });

  it('come back as they were, whatever they are (1,000 texts)', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("'", '=', '-', '+', '@', '\t', '\r', '1', 'a') })),
        (text) => undefuse(defuse(text)) === text,
      ),
      { numRuns: 1_000 },
    );
  });

  it('never begin a cell of CSV with a formula sign', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("'", '=', '-', '+', '@', '\t', '\r', '"', ',', '1', 'a') }), (text) => {
        const cell = csvCell(text).replace(/^"/, '');
        return !/^[=@\t\r]/.test(cell) && (!/^[+-]/.test(cell) || /^"?[+-][\d.,]+/.test(csvCell(text)));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('XLSX files', () => {
  it('are read by a spreadsheet program as they were written, at any size of page', async () => {
    async function* pages() {
      yield await Promise.resolve([
        EVIL.map((text) => ({ kind: 'text', text }) as const),
        [{ kind: 'number', text: '-12.50' } as const, { kind: 'day', text: '2026-11-22' } as const, { kind: 'flag', is: true } as const, null],
        [
          { kind: 'number', text: '12345678901234567890' } as const,
          { kind: 'day', text: '1899-01-01' } as const,
          { kind: 'text', text: '<&>\u0001 _x0041_ 😀' } as const,
        ],
      ]);
      yield Array.from({ length: 3_000 }, (_, index) => [{ kind: 'text', text: `row ${String(index)}` } as const]);
    }
    const bytes = await bytesOf(
      writeXlsx(
        'Books: [all]',
        EVIL.map((_, index) => `column ${String(index)}`),
        pages(),
      ),
    );
    const book = read(bytes, { cellFormula: true, cellDates: false });
    const sheet = book.Sheets[book.SheetNames[0] ?? ''];
    if (sheet === undefined) throw new Error('The workbook has no sheet.');
    const cells = utils.sheet_to_json<unknown[]>(sheet, { header: 1, raw: true });
    expect(book.SheetNames).to.deep.equal(['Books   all ']);
    expect(cells[1]).to.deep.equal(EVIL);
    expect(cells[2]?.slice(0, 3)).to.deep.equal([-12.5, 46348, true]);
    expect(cells[3]?.slice(0, 2)).to.deep.equal(['12345678901234567890', '1899-01-01']);
    expect(cells).to.have.length(3_004);
    expect(Object.values(sheet).some((cell: unknown) => typeof cell === 'object' && cell !== null && 'f' in cell)).to.equal(false);
    const back = await readBack('x.xlsx', bytes);
    expect(back.rows[0]).to.deep.equal(EVIL);
    expect(back.rows[1]?.slice(0, 4)).to.deep.equal(['-12.5', '2026-11-22', true, '']);
  });

  it('that are none, or are cut off, are one clear error', async () => {
    const whole = await bytesOf(writeXlsx('x', ['a'], (async function* () {})()));
    for (const bytes of [Buffer.from('PK\u0003\u0004 nothing'), whole.subarray(0, whole.length - 200)]) {
      const message = await readBack('x.xlsx', bytes).then(
        () => 'read',
        (error: unknown) => (isAppError(error, 'bad_request') ? error.message : String(error)),
      );
      expect(message).to.match(/XLSX file cannot be read|file is empty/);
    }
    const renamed = await readBack('x.xlsx', Buffer.from('a,b\n1,2\n')).catch((error: unknown) =>
      isAppError(error, 'bad_request') ? error.message : String(error),
    );
    expect(renamed).to.match(/no XLSX file/);
  });
});

describe('export', () => {
  let library: Library;
  const system = (): CallContext => contextOf(library, { principal: SYSTEM });
  const text = async (query: ExportQuery, context = system()): Promise<string> =>
    (await bytesOf((await exportRecords(library.db, context, query)).content)).toString();

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
    const items = Array.from({ length: 4_321 }, (_, index): WriteItem => {
      const evil = EVIL[index % EVIL.length] ?? '';
      return {
        kind: 'create',
        values: { title: `Book ${String(index)}`, isbn: `n${String(index)}`, pages: 1 + (index % 900), comment: `${evil}`, tags: ['a', 'b'], price: '12.50' },
      };
    });
    await library.db.transaction((tx) => makeRecordEngine().write(tx, system(), 'Book', items, { events: 'none' }));
  });
  after(() => library.drop());

  it('holds every record once, whatever the page, and is noted in the audit before the first byte', async () => {
    const file = await exportRecords(library.db, system(), { object: 'Book', format: 'csv', fields: ['isbn', 'title', 'pages'] });
    const [audited] = await rows(library.db, sql`select actor, detail from credenza.audit_entry where action = 'export'`);
    expect(audited).to.deep.include({ detail: { format: 'csv', fields: ['isbn', 'title', 'pages'] } });
    const lines = (await bytesOf(file.content)).toString().trimEnd().split('\r\n');
    expect(lines[0]).to.equal('isbn,title,pages');
    expect(new Set(lines.slice(1)).size).to.equal(4_321);
  });

  for (const format of ['csv', 'ndjson', 'xlsx'] as const) {
    it(`${format} imports again with nothing to change, formulas and all`, async () => {
      const fields = ['id', 'title', 'isbn', 'pages', 'comment', 'tags', 'price'];
      const { content } = await exportRecords(library.db, system(), { object: 'Book', format, fields });
      const bytes = await bytesOf(content);
      const rejected: unknown[] = [];
      const result = await makeImporter({ engine: makeRecordEngine() }).run(
        library.db,
        system(),
        { object: 'Book', map: null, fileName: `books.${format}`, content: Readable.from([bytes]) },
        (row) => void rejected.push(row),
      );
      expect(rejected).to.deep.equal([]);
      expect(result).to.deep.equal({ read: 4_321, created: 0, updated: 0, unchanged: 4_321, rejected: 0 });
    });
  }

  it('holds what the caller may see, and is refused to who may not export', async () => {
    const refusal = await text({ object: 'Book', format: 'csv' }, contextOf(library, { sets: ['clerk'] })).catch((error: unknown) =>
      isAppError(error) ? error.code : '',
    );
    expect(refusal).to.equal('forbidden');
    const unknown = await text({ object: 'Book', format: 'csv', filter: 'nothing == 1' }).catch((error: unknown) => (isAppError(error) ? error.code : ''));
    expect(unknown).to.equal('invalid_query');
    expect((await text({ object: 'Book', format: 'ndjson', filter: "isbn == 'n7'", fields: ['isbn'] })).trim()).to.equal('{"isbn":"n7"}');
  });

  it('has neither rows nor fields that its caller may not read, however it is asked', async () => {
    const item: WriteItem = { kind: 'create', values: { title: 'Of Anna', isbn: 'anna', appraisal: 'hidden-word', ownerId: ANNA } };
    await library.db.transaction((tx) => makeRecordEngine().write(tx, system(), 'Book', [item], { events: 'none' }));
    const keeper = (): CallContext => contextOf(library, { sets: ['keeper'], userId: ANNA });
    for (const format of ['csv', 'ndjson'] as const) {
      const all = await text({ object: 'Book', format }, keeper());
      expect(all.trimEnd().split('\n')).to.have.length(format === 'csv' ? 2 : 1);
      expect(all)
        .to.include('Of Anna')
        .and.not.match(/appraisal|hidden-word/);
    }
    expect(await text({ object: 'Book', format: 'csv', fields: ['isbn', 'appraisal'], filter: "isbn == 'anna'" })).to.equal(
      'isbn,appraisal\r\nanna,hidden-word\r\n',
    );
    for (const asked of [{ fields: ['appraisal'] }, { filter: "appraisal == 'hidden-word'" }]) {
      const refusal = await text({ object: 'Book', format: 'csv', ...asked }, keeper()).catch((error: unknown) => (isAppError(error) ? error.code : ''));
      expect(refusal, JSON.stringify(asked)).to.equal('invalid_query');
    }
    expect(await text({ object: 'Book', format: 'csv', fields: ['isbn'], filter: "isbn == 'n7'" }, keeper())).to.equal('isbn\r\n');
  });
});
