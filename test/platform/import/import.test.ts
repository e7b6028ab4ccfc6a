import { expect } from 'chai';
import { Readable } from 'node:stream';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { NPPES_COLUMNS, syntheticNppes } from '../../../src/network/synthetic/nppes-file.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { makeImporter, type ImportResult, type RejectedRow } from '../../../src/platform/import/import.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

describe('import of CSV', () => {
  let database: TestDatabase;
  let context: CallContext;
  const importer = makeImporter({ engine: makeRecordEngine() });
  const reader = makeReader();

  before(async () => {
    database = await makeShippedDatabase();
    const clock = makeVirtualClock('2026-11-16T15:00:00.000Z');
    const store = makeModelStore({ db: database.db, clock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), clock, seededRandom(1), 'test');
  });
  after(() => database.drop());

  async function importLeads(
    text: string,
    options: { readonly object?: string; readonly map?: string | null; readonly dryRun?: boolean } = {},
  ): Promise<{ result: ImportResult; rejected: RejectedRow[] }> {
    const rejected: RejectedRow[] = [];
    const request = {
      object: options.object ?? 'Lead',
      map: options.map === undefined ? 'nppes' : options.map,
      fileName: 'leads.csv',
      content: Readable.from([text]),
      dryRun: options.dryRun === true,
    };
    const result = await importer.run(database.db, context, request, (row) => {
      rejected.push(row);
    });
    return { result, rejected };
  }
  const file = (rows: number, seed = 3): string => [...syntheticNppes({ rows, random: seededRandom(seed) })].join('');
  const historyRows = async (): Promise<string> => {
    const answer = await database.db.raw<{ rows: readonly { readonly n: string }[] }>('select count(*) as n from credenza.record_history');
    return answer.rows[0]?.n ?? '';
  };

  it('creates every row, and a second import changes and writes nothing', async () => {
    const text = file(60);
    const first = await importLeads(text);
    expect(first.result).to.deep.equal({ read: 60, created: 60, updated: 0, unchanged: 0, rejected: 0 });
    const before = await historyRows();
    const second = await importLeads(text);
    expect(second.result).to.deep.equal({ read: 60, created: 0, updated: 0, unchanged: 60, rejected: 0 });
    expect(await historyRows()).to.equal(before);
  });

  it('updates what differs', async () => {
    const text = file(60);
    const [header = '', first = '', ...rest] = text.split('\n');
    const changed = [header, first.replace(/"555\d{7}"/, '"5550001111"'), ...rest].join('\n');
    const { result } = await importLeads(changed);
    expect(result).to.deep.equal({ read: 60, created: 0, updated: 1, unchanged: 59, rejected: 0 });
  });

  it('takes the primary taxonomy, else the first one, and a reactivated NPI as active', async () => {
    const rows = file(60).split('\n');
    const column = (line: string, name: string): string => (JSON.parse(`[${line}]`) as string[])[NPPES_COLUMNS.indexOf(name)] ?? '';
    const secondIsPrimary = rows.slice(1).find((line) => line !== '' && column(line, 'Healthcare Provider Primary Taxonomy Switch_2') === 'Y') ?? '';
    const reactivated = rows.slice(1).find((line) => line !== '' && column(line, 'NPI Reactivation Date') !== '') ?? '';
    const lead = async (line: string) => (await reader.list(database.db, context, { object: 'Lead', equals: { npi: column(line, 'NPI') } })).data[0];
    expect((await lead(secondIsPrimary))?.['taxonomyCode']).to.equal(column(secondIsPrimary, 'Healthcare Provider Taxonomy Code_2'));
    expect((await lead(reactivated))?.['npiStatus']).to.equal('active');
    const zip = column(reactivated, 'Provider Business Practice Location Address Postal Code');
    expect((await lead(reactivated))?.['practiceZip']).to.equal(zip.slice(0, 5));
    expect((await lead(reactivated))?.['practiceZip4']).to.equal(zip.slice(5));
  });

  it('rejects rows one by one with line, column and reason, and writes the rest', async () => {
    const [header = '', ...lines] = file(75)
      .split('\n')
      .filter((line) => line !== '');
    const fresh = lines.slice(60);
    const wrongNpi = (fresh[0] ?? '').replace(/^"(\d{9})(\d)"/, (_, nine: string, check: string) => `"${nine}${String((Number(check) + 1) % 10)}"`);
    const short = '"1234567893","1"';
    const repeated = fresh[1] ?? '';
    const { result, rejected } = await importLeads([header, wrongNpi, repeated, short, repeated, ...fresh.slice(2)].join('\r\n'));
    expect(result).to.deep.equal({ read: 17, created: 14, updated: 0, unchanged: 0, rejected: 3 });
    expect(rejected.map(({ line, column }) => ({ line, column }))).to.deep.equal([
      { line: 2, column: 'NPI' },
      { line: 4, column: null },
      { line: 5, column: 'NPI' },
    ]);
    expect(rejected[0]?.reason).to.contain('check digit');
    expect(rejected[1]?.reason).to.contain('2 cells where the header has 329');
    expect(rejected[2]?.reason).to.contain('line 3');
  });

  it('a dry run says what would happen and leaves nothing', async () => {
    const before = await historyRows();
    const { result } = await importLeads(file(90), { dryRun: true });
    expect(result.created).to.be.greaterThan(10);
    expect(await historyRows()).to.equal(before);
    const again = await importLeads(file(90), { dryRun: true });
    expect(again.result).to.deep.equal(result);
  });

  it('understands BOM, line breaks within quotes and columns named by label', async () => {
    const { result, rejected } = await importLeads('\uFEFFName,NPI,City\r\n"Two\r\nLines",1000006004,Boston\n"Next",1000006006,Boston\n', {
      map: null,
      dryRun: true,
    }).catch((error: unknown) => {
      if (!isAppError(error)) throw error;
      return { result: null, rejected: [error.message] };
    });
    expect(result).to.equal(null);
    expect(String(rejected[0])).to.contain('"City"');
  });

  it('a file that lacks a column, an empty file and an endless quote are one clear error each', async () => {
    const messageOf = async (text: string): Promise<string> => {
      try {
        await importLeads(text);
      } catch (error) {
        if (isAppError(error, 'bad_request')) return error.message;
        throw error;
      }
      return '';
    };
    expect(await messageOf('NPI,Name\n1,2\n')).to.contain('lacks the columns');
    expect(await messageOf('')).to.contain('empty');
    const [header = '', first = ''] = file(1).split('\n');
    expect(await messageOf(`${header}\n${first}\n"1`)).to.contain('broken');
  });

  it('finds what a reference means by its unique field; where the map allows it, one that is not found stays empty', async () => {
    const header = 'country\tzip\tplace\tstate\tcounty\tcounty_code\tlat\tlon\n';
    const points = ['US\t01101\tSpringfield\tMA\tHampden\t013\t42.1015\t-72.5898', 'US\t02901\tProvidence\tRI\tProvidence\t007\t41.8\t-71.4'];
    const zips = await importLeads(`${header}${[...points, points[0], 'US\t123\tNowhere\tMA\t\t\t\t'].join('\n')}\n`, { object: 'ZipCode', map: 'zip-points' });
    expect(zips.result).to.deep.equal({ read: 4, created: 2, updated: 0, unchanged: 0, rejected: 2 });
    expect(zips.rejected.map(({ line, column, reason }) => [line, column, reason])).to.deep.equal([
      [4, 'zip', 'The row repeats line 2. Keep one of the two.'],
      [5, 'zip', 'A ZIP code has five digits.'],
    ]);
    const text = file(75);
    const leads = (await importLeads(text)).result;
    expect(leads).to.include({ read: 75, rejected: 0 });
    const counties = async (): Promise<readonly unknown[]> => {
      const query = { object: 'Lead', filter: 'practiceZip != null', groupBy: ['practiceZip', 'county'], measures: [{ as: 'n', op: 'count' as const }] };
      const found = await reader.aggregate(database.db, context, query);
      return found.data.map((row) => `${String(row['practiceZip'])} ${String(row['county'])}`).sort();
    };
    expect(await counties()).to.deep.equal(['01101 Hampden', '01601 null', '02101 null', '02840 null', '02901 Providence']);
    expect((await importLeads(text)).result).to.deep.equal({ read: 75, created: 0, updated: 0, unchanged: 75, rejected: 0 });
  });

  it('takes an id or a key in columns named like the fields, and rejects a key that no record has', async () => {
    const [zip] = (await reader.list(database.db, context, { object: 'ZipCode', equals: { zip: '02901' } })).data;
    const lead = (npi: string, place: string): string => `${npi},individual,X ${npi},X,${place}\n`;
    const rows = [lead('1003006008', String(zip?.id)), lead('1003006016', '01101'), lead('1003006024', '99999'), lead('1003006032', '')];
    const { result, rejected } = await importLeads(`npi,entityType,name,lastName,practiceZipCode\n${rows.join('')}`, { map: null });
    expect(rejected.map(({ line, column, reason }) => [line, column, reason])).to.deep.equal([
      [4, 'practiceZipCode', 'Practice ZIP code record: there is no ZIP code with the ZIP code "99999".'],
    ]);
    expect(result).to.deep.equal({ read: 4, created: 3, updated: 0, unchanged: 0, rejected: 1 });
  });
});
