import { expect } from 'chai';
import { parse } from 'csv-parse';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { syntheticNppes } from '../../../src/network/synthetic/nppes-file.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { ident, joinSql, rows, sql } from '../../../src/platform/sql.ts';
import { makeShippedDatabase, TEST_SCHEMA, type TestDatabase } from '../../support/database.ts';

/** 3,000 rows unless the environment says otherwise, as IMPORT_LARGE_ROWS=1000000, which takes some minutes and prints the memory taken. */
const ROWS = Number(process.env['IMPORT_LARGE_ROWS'] ?? 3_000);
/** Rows are written in blocks of a thousand at most; the process dies about in the middle. */
const MIDDLE = Math.ceil(ROWS / 2_000);

const isSource = import.meta.url.endsWith('.ts');
const CHILD = fileURLToPath(new URL(`./fixtures/file-import-child.${isSource ? 'ts' : 'js'}`, import.meta.url));

interface Ended {
  readonly signal: string | null;
  readonly said: string;
  readonly failure: string;
}

function runChild(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [...(isSource ? ['--import=tsx'] : []), CHILD, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, failure] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (failure += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_code, signal) => resolve({ signal, said, failure }));
  });
}

/** The boundary to what the child prints. */
function reportOf({ said, failure }: Ended): Readonly<Record<string, unknown>> {
  if (said === '') throw new Error(`The importing process said nothing: ${failure}`);
  const report: unknown = JSON.parse(said);
  return typeof report === 'object' && report !== null ? { ...report } : {};
}

/** Field of a lead, and what the file says of it. */
const COMPARED: readonly (readonly [string, (row: Readonly<Record<string, string>>) => string])[] = [
  ['npi', (row) => row['NPI'] ?? ''],
  [
    'name',
    (row) =>
      row['Entity Type Code'] === '2'
        ? (row['Provider Organization Name (Legal Business Name)'] ?? '')
        : `${row['Provider First Name'] ?? ''} ${row['Provider Last Name (Legal Name)'] ?? ''}`,
  ],
  ['practiceAddressLine1', (row) => row['Provider First Line Business Practice Location Address'] ?? ''],
  ['practiceCity', (row) => row['Provider Business Practice Location Address City Name'] ?? ''],
  ['practiceZip', (row) => (row['Provider Business Practice Location Address Postal Code'] ?? '').slice(0, 5)],
  ['practiceZip4', (row) => (row['Provider Business Practice Location Address Postal Code'] ?? '').slice(5)],
  ['credential', (row) => row['Provider Credential Text'] ?? ''],
];
const HEX_DIGITS = 12;

describe(`a file of ${String(ROWS)} rows in the layout of NPPES`, function () {
  this.timeout(Math.max(240_000, ROWS * 10));
  let database: TestDatabase;
  let directory: string;
  let file: string;

  before(async () => {
    database = await makeShippedDatabase();
    directory = mkdtempSync(join(tmpdir(), 'import-large-'));
    file = join(directory, 'npidata.csv');
    await pipeline(Readable.from(syntheticNppes({ rows: ROWS, random: seededRandom(7), isCountry: true })), createWriteStream(file));
  });
  after(async () => {
    rmSync(directory, { recursive: true, force: true });
    await database.drop();
  });

  /** Sum of the hashes of all rows, as the file has them; the order does not count. */
  async function sumOfFile(): Promise<bigint> {
    let sum = 0n;
    for await (const row of createReadStream(file).pipe(parse({ columns: true }))) {
      const text = COMPARED.map(([, read]) => read(row)).join('|');
      sum += BigInt(`0x${createHash('md5').update(text).digest('hex').slice(0, HEX_DIGITS)}`);
    }
    return sum;
  }

  /** The same of the records that are there. */
  async function sumOfRecords(): Promise<readonly [bigint, number]> {
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    const lead = (await store.current()).objects.get('Lead');
    const columns = joinSql(
      COMPARED.map(([name]) => sql`coalesce(${ident(lead?.fields.get(name)?.column ?? '')}, '')`),
      `, '|', `,
    );
    const [found] = await rows(
      database.db,
      sql`select count(*)::int as n, sum(('x' || left(md5(concat(${columns})), ${HEX_DIGITS}::int))::bit(48)::bigint)::text as sum from ${ident(TEST_SCHEMA, lead?.table ?? '')}`,
    );
    return [BigInt(String(found?.['sum'])), Number(found?.['n'])];
  }

  it('is whole, row by row, after the process that imported it was killed half way and another went on', async () => {
    const killed = await runChild([database.url, `import.after_chunk:${String(MIDDLE)}`, file, 'Lead', 'nppes']);
    expect(killed.signal, killed.failure).to.equal('SIGKILL');
    const [, before] = await sumOfRecords();
    expect(before).to.be.within(1, ROWS - 1);
    const report = reportOf(await runChild([database.url, '', file, 'Lead', 'nppes']));
    if (ROWS > 3_000) process.stdout.write(`      ${JSON.stringify(report)}\n`);
    expect(report['isResumed']).to.equal(true);
    expect(report['result']).to.deep.equal({ read: ROWS, created: ROWS, updated: 0, unchanged: 0, rejected: 0 });
    expect(await sumOfRecords()).to.deep.equal([await sumOfFile(), ROWS]);
    const [history] = await rows(database.db, sql`select count(*)::int as n from ${ident(TEST_SCHEMA, 'record_history')}`);
    expect(history?.['n']).to.equal(ROWS);
  });
});
