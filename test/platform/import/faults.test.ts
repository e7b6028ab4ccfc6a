import { expect } from 'chai';
import { Readable } from 'node:stream';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { withCheckDigit } from '../../../src/network/npi/npi.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { errorHeader, errorLine } from '../../../src/platform/import/error-file.ts';
import { makeImporter, type ImportResult, type RejectedRow } from '../../../src/platform/import/import.ts';
import { isJobOpen } from '../../../src/platform/import/job.sql.ts';
import { makeImportJobs, type ImportJobs } from '../../../src/platform/import/jobs.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { holds, rows, sql } from '../../../src/platform/sql.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

/** 5,000 rows with 100 faults unless the environment says otherwise, as IMPORT_TEST_ROWS=50000 (a fiftieth of them faulty). */
const ROWS = Number(process.env['IMPORT_TEST_ROWS'] ?? 5_000);
const FAULTS = Math.floor(ROWS / 50);
const HEADER = [
  'npi',
  'name',
  'entityType',
  'firstName',
  'lastName',
  'gender',
  'email',
  'phone',
  'practiceState',
  'practiceZipCode',
  'enumeratedOn',
  'taxonomyCode',
];

type Row = Record<string, string>;

function goodRow(index: number): Row {
  return {
    npi: withCheckDigit(String(100_000_000 + index)),
    name: `Lead ${String(index)}`,
    entityType: 'individual',
    firstName: 'Ana',
    lastName: `Brandt ${String(index)}`,
    gender: index % 2 === 0 ? 'female' : 'male',
    email: `lead${String(index)}@practice.example`,
    phone: '413 555 0100',
    practiceState: 'MA',
    practiceZipCode: '01101',
    enumeratedOn: '2010-03-04',
    taxonomyCode: '207Q00000X',
  };
}

const cell = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const lineOf = (row: Row): string => HEADER.map((name) => cell(row[name] ?? '')).join(',');

/** One way in which a row can be wrong: what is written, and the column that must be named. */
const FAULT_KINDS: readonly { readonly what: string; readonly column: string | null; readonly line: (row: Row, index: number) => string }[] = [
  {
    what: 'a wrong check digit',
    column: 'npi',
    line: (row) => lineOf({ ...row, npi: `${(row['npi'] ?? '').slice(0, 9)}${String((Number((row['npi'] ?? '').at(-1)) + 1) % 10)}` }),
  },
  { what: 'the number of an earlier line', column: 'npi', line: (row) => lineOf({ ...row, npi: goodRow(0)['npi'] ?? '' }) },
  { what: 'a required cell empty', column: 'name', line: (row) => lineOf({ ...row, name: '' }) },
  { what: 'a code that is none', column: 'entityType', line: (row) => lineOf({ ...row, entityType: 'robot' }) },
  { what: 'a state that is none', column: 'practiceState', line: (row) => lineOf({ ...row, practiceState: 'Atlantis' }) },
  { what: 'a day that is none', column: 'enumeratedOn', line: (row) => lineOf({ ...row, enumeratedOn: '2010-02-30' }) },
  { what: 'an address that is none', column: 'email', line: (row) => lineOf({ ...row, email: 'not an address' }) },
  { what: 'a reference to nothing', column: 'practiceZipCode', line: (row) => lineOf({ ...row, practiceZipCode: '99999' }) },
  { what: 'a cell too few', column: null, line: (row) => lineOf(row).replace(/,[^,]*$/, '') },
  { what: 'a cell too many', column: null, line: (row) => `${lineOf(row)},more` },
  { what: 'a NUL character', column: null, line: (row) => lineOf({ ...row, lastName: 'A\u0000B' }) },
  { what: 'bytes that are no text', column: null, line: (row) => lineOf({ ...row, lastName: 'A\uFFFDB' }) },
  { what: 'a text that is too long', column: 'name', line: (row) => lineOf({ ...row, name: 'x'.repeat(5_000) }) },
];

describe(`an import of ${String(ROWS)} rows with ${String(FAULTS)} planted faults`, () => {
  let database: TestDatabase;
  let context: CallContext;
  let jobs: ImportJobs;
  const planted = new Map<number, string | null>();
  const clock = makeVirtualClock('2026-11-16T15:00:00.000Z');
  let text = '';

  before(async function () {
    this.timeout(120_000);
    database = await makeShippedDatabase();
    const store = makeModelStore({ db: database.db, clock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), clock, seededRandom(1), 'test');
    const contextFor = async (_who: unknown, job: string): Promise<CallContext> => ({
      ...systemCall(await store.current(), clock, seededRandom(2), 'test'),
      cause: { kind: 'import', job },
    });
    jobs = makeImportJobs({ engine: makeRecordEngine(), clock, log: makeLog('silent'), contextFor, limitBytes: 1e9 });
    const zip = { object: 'ZipCode', map: null, fileName: 'zip.csv', content: Readable.from(['zip,place,state\n01101,Springfield,MA\n']) };
    await makeImporter({ engine: makeRecordEngine() }).run(database.db, context, zip);
    const every = Math.floor(ROWS / FAULTS);
    const lines = Array.from({ length: ROWS }, (_, index) => {
      const at = Math.floor(index / every);
      const isFaulty = index % every === every - 1 && planted.size < FAULTS;
      const kind = FAULT_KINDS[at % FAULT_KINDS.length];
      if (!isFaulty || kind === undefined) return lineOf(goodRow(index));
      planted.set(index + 2, kind.column);
      return kind.line(goodRow(index), index);
    });
    text = `${HEADER.join(',')}\n${lines.join('\n')}\n`;
  });
  after(() => database.drop());

  interface Outcome {
    readonly result: ImportResult;
    readonly rejected: readonly RejectedRow[];
    readonly jobId: string;
  }
  async function importLeads(content: string, dryRun: boolean): Promise<Outcome> {
    const rejected: RejectedRow[] = [];
    let jobId = '';
    const request = { object: 'Lead', map: null, fileName: 'leads.csv', content: Readable.from([content]), dryRun, onJob: (id: string) => void (jobId = id) };
    const result = await makeImporter({ engine: makeRecordEngine() }).run(database.db, context, request, (row) => void rejected.push(row));
    return { result, rejected, jobId };
  }
  const found = (rejected: readonly RejectedRow[]): readonly (readonly [number, string | null])[] => rejected.map(({ line, column }) => [line, column]);
  const leads = async (): Promise<number> =>
    Number((await makeReader().aggregate(database.db, context, { object: 'Lead', measures: [{ as: 'n', op: 'count' }] })).data[0]?.['n']);
  const written = async (): Promise<unknown> => (await rows(database.db, sql`select count(*) as n from credenza.record_history`))[0]?.['n'];

  let run: Outcome;

  it('a dry run finds exactly those, each with its column, and writes nothing', async function () {
    this.timeout(600_000);
    const before = await written();
    const { result, rejected } = await importLeads(text, true);
    expect(result).to.deep.equal({ read: ROWS, created: ROWS - FAULTS, updated: 0, unchanged: 0, rejected: FAULTS });
    expect(found(rejected)).to.deep.equal([...planted]);
    expect([await written(), await leads()]).to.deep.equal([before, 0]);
  });

  it('the import rejects exactly those and writes the rest', async function () {
    this.timeout(600_000);
    run = await importLeads(text, false);
    expect(run.result).to.deep.equal({ read: ROWS, created: ROWS - FAULTS, updated: 0, unchanged: 0, rejected: FAULTS });
    expect(found(run.rejected)).to.deep.equal([...planted]);
    expect(run.rejected.every(({ reason }) => reason.length > 10)).to.equal(true);
    expect(await leads()).to.equal(ROWS - FAULTS);
  });

  it('the error file holds their cells as they were; corrected, it imports with nothing left', async function () {
    this.timeout(600_000);
    const file = errorHeader(HEADER) + run.rejected.map(errorLine).join('');
    const again = await importLeads(file, true);
    // Read as it is, it is wrong in the same rows, but for what only the file around them, or bytes that no file holds, made wrong.
    expect(again.result.read).to.equal(FAULTS);
    const lines = file.trimEnd().split('\r\n');
    const front = run.rejected.map((row) => errorLine({ ...row, cells: [] }).trimEnd());
    const corrected = [lines[0], ...run.rejected.map(({ line }, index) => `${front[index] ?? ''},${lineOf(goodRow(line - 2))}`)].join('\r\n');
    const fixed = await importLeads(`${corrected}\r\n`, false);
    expect(fixed.rejected).to.deep.equal([]);
    expect(fixed.result).to.deep.equal({ read: FAULTS, created: FAULTS, updated: 0, unchanged: 0, rejected: 0 });
    expect(await leads()).to.equal(ROWS);
  });

  it('is undone whole, but for what was edited or is pointed at since', async function () {
    this.timeout(600_000);
    const engine = makeRecordEngine();
    const lead = async (index: number) =>
      (await makeReader().list(database.db, context, { object: 'Lead', equals: { npi: goodRow(index)['npi'] ?? '' } })).data[0];
    const [edited, left] = [await lead(0), await lead(1)];
    await engine.writeOne(database.db, context, 'Lead', { kind: 'update', id: String(edited?.id), values: { phone: '413 555 0199' } });
    await jobs.undo(database.db, context, run.jobId);
    expect(await holds(database.db, isJobOpen(database.db))).to.equal(true);
    while ((await jobs.run(database.db)) > 0);
    expect(await holds(database.db, isJobOpen(database.db))).to.equal(false);
    const job = await jobs.get(database.db, context, run.jobId);
    expect([job.state, job.undone]).to.deep.equal(['undone', { removed: ROWS - FAULTS - 1, restored: 0, kept: 1 }]);
    expect(await jobs.kept(database.db, context, run.jobId)).to.deep.equal([{ recordId: edited?.id, reason: 'It was changed since it was imported.' }]);
    // What the error file brought in is another import and stays.
    expect(await leads()).to.equal(FAULTS + 1);
    expect(await lead(0)).to.include({ phone: '+14135550199' });
    expect(left?.id).to.be.a('string');
    expect(await lead(1)).to.equal(undefined);
  });
});
