import { expect } from 'chai';
import { Readable } from 'node:stream';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { withCheckDigit } from '../../../src/network/npi/npi.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { makeImporter, type ImportResult, type RejectedRow } from '../../../src/platform/import/import.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

const HEADER = 'npi,name,entityType,lastName,email';
/** Rows of one file; more by the environment, as IMPORT_DIRT_ROWS=50000. */
const ROWS = Number(process.env['IMPORT_DIRT_ROWS'] ?? 2_000);

interface Outcome {
  readonly result: ImportResult;
  readonly rejected: readonly RejectedRow[];
}

describe('files as they come (quality.md, section 6, row 8)', function () {
  this.timeout(300_000);
  let database: TestDatabase;
  let context: CallContext;
  let next = 0;
  before(async () => {
    database = await makeShippedDatabase();
    const clock = makeVirtualClock('2026-11-16T15:00:00.000Z');
    context = systemCall(await makeModelStore({ db: database.db, clock, extensions: EXTENSIONS }).current(), clock, seededRandom(1), 'test');
  });
  after(() => database.drop());

  const npi = (): string => withCheckDigit(String(200_000_000 + (next += 1)));
  const row = (name: string, number = npi()): string => `${number},${name},individual,Brandt,lead${String((next += 1))}@practice.example`;
  async function importLeads(content: string | Buffer): Promise<Outcome> {
    const rejected: RejectedRow[] = [];
    // In small pieces: a mark, a character or a line end may be cut through anywhere.
    const bytes = Buffer.from(content);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 4_093) }, (_, index) => bytes.subarray(index * 4_093, (index + 1) * 4_093));
    const request = { object: 'Lead', map: null, fileName: 'leads.csv', content: Readable.from(pieces) };
    const result = await makeImporter({ engine: makeRecordEngine() }).run(database.db, context, request, (found) => void rejected.push(found));
    expect(result.created + result.updated + result.unchanged + result.rejected, 'each row is accepted or rejected').to.equal(result.read);
    expect(rejected.length).to.equal(result.rejected);
    for (const { reason, line } of rejected) expect(reason.length * line, reason).to.be.greaterThan(10);
    return { result, rejected };
  }
  const places = ({ rejected }: Outcome): readonly (readonly [number, string | null])[] => rejected.map(({ line, column }) => [line, column]);
  async function names(filter: string): Promise<readonly unknown[]> {
    const { data } = await makeReader().list(database.db, context, { object: 'Lead', fields: ['name'], filter, sort: ['npi'], limit: 500 });
    return data.map((record) => record['name']);
  }

  it('a mark at the start, every kind of line end and quotes are no matter; a row is named by the line it begins on', async () => {
    const twice = npi();
    const text = [
      `\uFEFF${HEADER}\r\n`,
      `${row('Dirt plain')}\n`,
      `${row('"Dirt ""quoted"", twice"')}\r\n`,
      `${row('"Dirt of\r\ntwo lines"')}\r`,
      `${row('Dirt twice', twice)}\n\r\n`,
      `${row('Dirt wrong digit', '1234567890')}\n`,
      `${row('Dirt again', twice)}\r\n`,
      row('Dirt last, no line end').replace('Dirt last, no line end', '"Dirt last, no line end"'),
    ].join('');
    const found = await importLeads(text);
    expect(found.result).to.include({ read: 7, created: 5, rejected: 2 });
    expect(places(found)).to.deep.equal([
      [8, 'npi'],
      [9, 'npi'],
    ]);
    expect(found.rejected[0]?.reason).to.contain('check digit');
    expect(found.rejected[1]?.reason).to.contain('line 6');
    expect(await names("name.startsWith('Dirt')")).to.have.members([
      'Dirt plain',
      'Dirt "quoted", twice',
      'Dirt of\r\ntwo lines',
      'Dirt twice',
      'Dirt last, no line end',
    ]);
  });

  it('NUL, cells of a megabyte and characters that are none are rejected with line and reason, those around them accepted', async () => {
    const huge = 'x'.repeat(1_048_577);
    const lines = [row('Nul before'), row('Nul \u0000 within'), row(huge), row(`"${huge}\n${huge}"`), row('Nul \uFFFD broken'), row('Nul after')];
    const found = await importLeads(`${HEADER}\n${lines.join('\n')}\n`);
    expect(found.result).to.include({ read: 6, created: 2, rejected: 4 });
    expect(places(found).map(([line]) => line)).to.deep.equal([3, 4, 5, 7]);
    const reasons = found.rejected.map(({ reason }) => reason);
    expect(reasons[0]).to.contain('NUL');
    expect(reasons[1]).to.contain('longer than a million');
    expect(reasons[2]).to.contain('longer than a million');
    expect(reasons[3]).to.contain('UTF-8');
    expect(await names("name.startsWith('Nul')")).to.deep.equal(['Nul before', 'Nul after']);
  });

  it('a cell of a megabyte less one that a field has no room for is rejected by that field', async () => {
    const found = await importLeads(`${HEADER}\n${row('y'.repeat(999_999))}\n${row('Room enough')}\n`);
    expect([found.result.created, places(found)]).to.deep.equal([1, [[2, 'name']]]);
    expect(found.rejected[0]?.reason.length).to.be.lessThan(500);
  });

  it('UTF-16 of both kinds, with their mark and without, Latin-1 and UTF-8 give the same texts', async () => {
    const wanted = 'Encoded Zoë Müller-Ångström';
    const text = (): string => `${HEADER}\n${row(wanted)}\n`;
    const little = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text(), 'utf16le')]);
    const big = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text(), 'utf16le')]).swap16();
    const [unmarked, swapped] = [Buffer.from(text(), 'utf16le'), Buffer.from(text(), 'utf16le').swap16()];
    for (const content of [little, big, unmarked, swapped, Buffer.from(text(), 'latin1'), Buffer.from(text(), 'utf8')])
      expect((await importLeads(content)).result).to.include({ read: 1, created: 1, rejected: 0 });
    expect(await names("name.startsWith('Encoded')")).to.deep.equal(Array.from({ length: 6 }, () => wanted));
  });

  it('bytes of Latin-1 far down in a file that begins as UTF-8 are told by their line', async () => {
    const lines = Array.from({ length: ROWS }, (_, index) => row(index === 0 ? 'Far Zoë' : `Far ${String(index)}`));
    const late = Buffer.concat([
      Buffer.from(`${HEADER}\n${lines.join('\n')}\n`, 'utf8'),
      Buffer.from(`${row('Far Zoë late')}\n`, 'latin1'),
      Buffer.from(`${row('Far end')}\n`),
    ]);
    const found = await importLeads(late);
    expect(found.result).to.include({ read: ROWS + 2, created: ROWS + 1, rejected: 1 });
    expect(places(found)).to.deep.equal([[ROWS + 2, null]]);
    expect(found.rejected[0]?.reason).to.contain('UTF-8');
  });
});
