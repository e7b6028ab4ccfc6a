import { expect } from 'chai';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ident, rows, sql } from '../../src/platform/sql.ts';
import { fillObject, objectOf, percentile } from '../bench/large-database.ts';
import { at, clientOf, startTestApp, type Client, type TestApp } from '../support/app.ts';

/** Seconds for which one user is costly while another reads, as COSTLY_SECONDS=20. */
const SECONDS = Number(process.env['COSTLY_SECONDS'] ?? 2);
/** Records that costly filters look at, as COSTLY_RECORDS=2000. */
const RECORDS = Number(process.env['COSTLY_RECORDS'] ?? 200);
const LONGEST_MS = 100;
const PROVIDERS = '/api/v1/records/Provider';

const times = (count: number, part: (index: number) => string, between: string): string =>
  Array.from({ length: count }, (_, index) => part(index)).join(between);
const wrapped = (count: number, open: string, inner: string, close: string): string => open.repeat(count) + inner + close.repeat(count);

/** Filters at the limit of what is allowed and far beyond it; the number makes each one new to every cache. */
const COSTLY: Readonly<Record<string, (number: number) => string>> = {
  '200 terms of ||': (number) => times(200, (index) => `lastName == 'n${String(number)}-${String(index)}'`, ' || '),
  '1,000 terms of &&': (number) => times(1_000, (index) => `npi != '${String(number)}${String(index)}'`, ' && ').slice(0, 7_900),
  'a list of 900 values': (number) => `panelSize in [${times(900, (index) => String(number + index), ',')}]`,
  'a list of 5,000 values': (number) => `lastName in [${times(5_000, () => `'${String(number)}'`, ',')}]`,
  'a chain of 98 texts': (number) => `lastName${" + 'a'".repeat(97)} == 'x${String(number)}'`,
  'a chain of 2,000 texts': (number) => `lastName${" + 'a'".repeat(1_900)} == '${String(number)}'`,
  'a text grown by replacing, 40 times': (number) => `${wrapped(40, 'replace(', 'lastName', ", 'a', 'aaaaaaaa')")} == '${String(number)}'`,
  'padding to 100,000 characters, 40 times': (number) => `${wrapped(40, 'padLeft(', "'x'", ", 100000, 'abc')")} == '${String(number)}'`,
  'related records, four deep in one another': (number) =>
    `contracts.exists(a, a.provider.contracts.exists(b, b.provider.contracts.exists(c, c.provider.contracts.exists(d, d.title == '${String(number)}'))))`,
  'forty questions about related records': (number) =>
    `${times(40, (index) => `contracts.count(c, c.noticeDays > ${String(index)})`, ' + ')} > ${String(number)}`,
  'brackets 3,900 deep': (number) => wrapped(3_900, '(', `lastName == '${String(number)}'`, ')'),
  'not, 7,000 times': (number) => `${'!'.repeat(7_000)}(lastName == '${String(number)}')`,
  'texts of a megabyte': (number) => `lastName == '${'x'.repeat(1_000_000)}${String(number)}'`,
  'constants multiplied without end': (number) => `panelSize > ${times(90, () => `9999999999999${String(number)}`, ' * ')}`,
};

describe('one user who is costly, and the others (quality.md, row 53)', function () {
  this.timeout(300_000);
  let test: TestApp;
  let server: ChildProcess;
  let costly: Client;
  let other: Client;
  let ids: readonly string[];
  before(async () => {
    test = await startTestApp();
    const provider = objectOf(await test.app.store.current(), 'Provider');
    const name = sql`'Brandt ' || n`;
    await fillObject(test.app.db, provider, RECORDS, {
      npi: sql`(1000000000 + n)::text`,
      name,
      lastName: name,
      entityType: sql`'individual'::text`,
      type: sql`'pcp'::text`,
    });
    ids = (await rows(test.app.db, sql`select id from ${ident('credenza', provider.table)} limit 500`)).map((row) => String(row['id']));
    const { databaseUrl } = test.app.config;
    const environment = { DATABASE_URL: databaseUrl, PORT: '0', LOG_LEVEL: 'silent', SMTP_LISTEN_PORT: '' };
    server = fork(fileURLToPath(new URL(`./loop-server.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)), [], {
      execArgv: process.execArgv,
      env: { ...process.env, ...environment },
    });
    const [ready] = await once(server, 'message');
    const url = String(at(ready, 'url'));
    costly = clientOf(url, (await test.caller('network')).token);
    other = clientOf(url, (await test.caller('network')).token);
    for (const id of ids.slice(0, 200)) await other('GET', `${PROVIDERS}/${id}`);
  });
  after(async () => {
    const ended = once(server, 'exit');
    server.disconnect();
    await ended;
    await test.stop();
  });

  let number = 0;
  const sendCostly = async (filter: (number: number) => string): Promise<number> => {
    number += 1;
    const answer = await costly('POST', `${PROVIDERS}/query`, { filter: filter(number), limit: 50 });
    expect([200, 400, 413], answer.text.slice(0, 300)).to.include(answer.status);
    return answer.status;
  };
  async function stoodStill(): Promise<number> {
    const answer = once(server, 'message');
    server.send('how long');
    return Number(at((await answer)[0], 'longestMs'));
  }

  for (const [name, filter] of Object.entries(COSTLY)) {
    it(`holds nobody up for longer than ${String(LONGEST_MS)} ms: ${name}`, async () => {
      const found: number[] = [];
      let status = 0;
      // The shortest of five: what holds up every time is ours, what does once is the machine's.
      for (let tried = 0; tried < 5; tried += 1) {
        await stoodStill();
        status = await sendCostly(filter);
        found.push(await stoodStill());
      }
      process.stdout.write(`      ${String(status)}; the loop stood still for ${Math.min(...found).toFixed(0)} to ${Math.max(...found).toFixed(0)} ms\n`);
      expect(Math.min(...found)).to.be.at.most(LONGEST_MS);
    });
  }

  it(`shows what another who reads by id for ${String(SECONDS)} s notices of it`, async () => {
    async function readFor(seconds: number): Promise<readonly number[]> {
      const took: number[] = [];
      const end = performance.now() + seconds * 1_000;
      while (performance.now() < end) {
        const start = performance.now();
        const answer = await other('GET', `${PROVIDERS}/${ids[took.length % ids.length] ?? ''}`);
        took.push(performance.now() - start);
        expect(answer.status, answer.text).to.equal(200);
      }
      return took.sort((left, right) => left - right);
    }
    const alone = await readFor(SECONDS);
    let isOver = false;
    let sent = 0;
    const burden = (async (): Promise<void> => {
      const filters = Object.values(COSTLY);
      while (!isOver) {
        await sendCostly(filters[sent % filters.length] ?? (() => ''));
        sent += 1;
      }
    })();
    const beside = await readFor(SECONDS);
    isOver = true;
    await burden;
    const words = (sorted: readonly number[]): string =>
      `p50 ${percentile(sorted, 0.5).toFixed(1)}, p99 ${percentile(sorted, 0.99).toFixed(1)} ms of ${String(sorted.length)}`;
    process.stdout.write(`      alone ${words(alone)}; beside ${String(sent)} costly requests ${words(beside)}\n`);
    expect(sent).to.be.greaterThan(SECONDS);
    expect(percentile(beside, 0.5), 'half of the reads wait for no costly request').to.be.below(LONGEST_MS);
  });
});
