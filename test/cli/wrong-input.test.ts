import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { rows, sql } from '../../src/platform/sql.ts';
import { makeShippedDatabase, testServerUrl, type TestDatabase } from '../support/database.ts';

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly lines: readonly string[];
}

const NETWORK = 'name,code,type,lineOfBusiness\n';

describe('wrong input on the command line', () => {
  let database: TestDatabase;
  let directory: string;
  before(async () => {
    database = await makeShippedDatabase();
    directory = mkdtempSync(join(tmpdir(), 'credenza-wrong-'));
  });
  after(async () => {
    await database.drop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Runs `credenza` as a process of its own; what it says is taken line by line, empty ones left out. */
  async function credenza(words: readonly string[], environment: Readonly<Record<string, string>> = {}, stdin = ''): Promise<Outcome> {
    const extension = fileURLToPath(import.meta.url).endsWith('.ts') ? 'ts' : 'js';
    const module = new URL(`../../src/cli/main.${extension}`, import.meta.url).href;
    const program = `import(${JSON.stringify(module)}).then(({ main }) => main(${JSON.stringify(words)}))`;
    const child = spawn(process.execPath, [...(extension === 'ts' ? ['--import', 'tsx'] : []), '--input-type=module', '-e', program], {
      env: { PATH: process.env['PATH'], HOME: directory, DATABASE_URL: database.url, LOG_LEVEL: 'silent', NO_COLOR: '1', ...environment },
    });
    let out = '';
    let said = '';
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (said += data.toString()));
    child.stdin.end(stdin);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, out, lines: said.split('\n').filter((line) => line.trim() !== '') };
  }

  async function counts(): Promise<unknown> {
    const [found] = await rows(
      database.db,
      sql`select (select count(*) from credenza.record_history) as history, (select count(*) from credenza.event) as events,
                 (select count(*) from credenza.import_block) as staged, (select max(version) from credenza.metadata_version) as model`,
    );
    return found;
  }

  for (const [title, url, says] of [
    ['nothing listens there', () => 'postgres://somebody:hunter2@127.0.0.1:1/none', /(cannot be used|does not answer).*127\.0\.0\.1:1.*DATABASE_URL/],
    ['the database does not exist', (server: string) => new URL('/there_is_none', server).href, /"there_is_none" does not exist.*DATABASE_URL/],
    ['the host does not exist', () => 'postgres://x:hunter2@no-such-host.invalid/none', /no-such-host\.invalid.*DATABASE_URL/],
  ] as const) {
    it(`no database (${title}): one clear line, without the password`, async () => {
      for (const words of [
        ['list', 'Network'],
        ['serve', '--port', '0'],
      ]) {
        const outcome = await credenza(words, { DATABASE_URL: url(await testServerUrl()) });
        expect([outcome.code, outcome.out], outcome.lines.join('\n')).to.deep.equal([1, '']);
        const problem = outcome.lines.filter((line) => !line.startsWith('Connecting'));
        expect(problem, outcome.lines.join('\n')).to.have.length(1);
        expect(problem[0]).to.match(says).and.not.contain('hunter2');
      }
    });
  }

  it('a port that is taken: one clear line that says what to do, and the process ends', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address: AddressInfo | string | null = server.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const before = await counts();
    try {
      const outcome = await credenza(['serve', '--port', port]);
      expect([outcome.code, outcome.out], outcome.lines.join('\n')).to.deep.equal([1, '']);
      const problem = outcome.lines.filter((line) => line.includes(port));
      expect(problem, outcome.lines.join('\n')).to.have.length(1);
      expect(problem[0]).to.match(/is taken.*PORT/);
      expect(outcome.lines.join('\n')).to.not.match(/^\s+at /m);
    } finally {
      server.close();
    }
    expect(await counts()).to.deep.equal(before);
  });

  for (const [words, code, says] of [
    [['imprt', 'Network', 'x.csv'], 2, /Did you mean 'import'/],
    [['import', 'Network', 'x.csv', '--maps', 'nppes'], 2, /Did you mean 'map'/],
    [['serve', '--port', 'abc'], 2, /0 to 65535/],
    [['import', 'Netwrok', '-'], 2, /Did you mean 'Network'/],
    [['import', 'Lead', '-', '--map', 'nppse'], 1, /nppes/],
    [['export', 'Network', '--filter', 'nmae == 1'], 1, /name/],
    [['set', 'Network', 'not-an-id', 'name=X'], 1, /no Network/],
    [['eval', '1 +'], 1, /\d/],
  ] as const) {
    it(`${words.join(' ')}: exit code ${String(code)} and what was probably meant`, async () => {
      const before = await counts();
      const outcome = await credenza(words, {}, NETWORK);
      const said = outcome.lines.join('\n');
      expect([outcome.code, outcome.out], said).to.deep.equal([code, '']);
      expect(said)
        .to.match(says)
        .and.not.match(/^\s+at /m);
      expect(await counts()).to.deep.equal(before);
    });
  }

  for (const [title, text, says] of [
    ['a quote that never ends', `${NETWORK}"Alpha,A,hmo,commercial\nBeta,B,hmo,commercial\n`, /broken.*line/],
    ['a quote in the middle of a cell', `${NETWORK}Alpha,A,hmo,commercial\nBe"ta,B,hmo,commercial\n`, /broken.*line/],
    ['nothing at all', '', /empty.*first line/],
    ['a column of no field', 'name,colour\nAlpha,red\n', /colour/],
    ['the same column twice', 'name,name,code\nA,B,C\n', /Two columns.*name/],
  ] as const) {
    it(`a broken CSV file (${title}): one clear problem, nothing written`, async () => {
      writeFileSync(join(directory, 'broken.csv'), text);
      const before = await counts();
      const outcome = await credenza(['import', 'Network', join(directory, 'broken.csv'), '--json']);
      expect([outcome.code, outcome.out], outcome.lines.join('\n')).to.deep.equal([1, '']);
      expect(outcome.lines.join('\n')).to.match(says);
      expect(outcome.lines.length, outcome.lines.join('\n')).to.be.at.most(2);
      expect(await counts()).to.deep.equal(before);
    });
  }

  it('rows that are wrong are told with line, column and reason, the others are written, and the exit code is 0', async () => {
    const text = `${NETWORK}Alpha,A1,hmo,commercial\nBeta,B1,nothing,commercial\nGamma,G1\n,D1,hmo,commercial\n`;
    writeFileSync(join(directory, 'mixed.csv'), text);
    const outcome = await credenza(['import', 'Network', join(directory, 'mixed.csv'), '--json', '--errors', join(directory, 'rejected.csv')]);
    expect(outcome.code, outcome.lines.join('\n')).to.equal(0);
    expect(JSON.parse(outcome.out)).to.deep.equal({ read: 4, created: 1, updated: 0, unchanged: 0, rejected: 3 });
    const [header, ...rejected] = readFileSync(join(directory, 'rejected.csv'), 'utf8').trim().split('\n');
    expect(header).to.match(/^import:line,import:column,import:reason,name,code/);
    expect(rejected.map((line) => line.split(',').slice(0, 2).join(','))).to.deep.equal(['3,type', '4,', '5,name']);
  });

  it('a file that is not there: one clear line', async () => {
    const outcome = await credenza(['import', 'Network', 'nowhere.csv']);
    expect([outcome.code, outcome.out, outcome.lines.length], outcome.lines.join('\n')).to.deep.equal([outcome.code === 2 ? 2 : 1, '', 1]);
    expect(outcome.lines[0]).to.contain('nowhere.csv');
  });
});
