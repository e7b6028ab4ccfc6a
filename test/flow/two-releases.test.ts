import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { makeTestDatabase, type TestDatabase } from '../support/database.ts';

const isSource = import.meta.url.endsWith('.ts');
const SCRIPT = fileURLToPath(new URL(`../bench/two-releases.${isSource ? 'ts' : 'js'}`, import.meta.url));
const SECONDS = 8;

describe('two server processes on one schema, one of them behind', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase();
  });
  after(() => database.drop());

  it('answer every request while the metadata changes; docs/performance.md says how to run it for ten minutes', async () => {
    const environment = { ...process.env, TEST_DATABASE_URL: database.url, TWO_RELEASES_SECONDS: String(SECONDS) };
    const child = spawn(process.execPath, [...(isSource ? ['--import=tsx'] : []), SCRIPT], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let [said, found] = ['', ''];
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stdout.on('data', (chunk: Buffer) => (found += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    expect(code, said).to.equal(0);
    const numbers = (name: string): readonly number[] => [...found.matchAll(new RegExp(`"${name}": (\\d+)`, 'g'))].map((match) => Number(match[1]));
    expect(numbers('errors'), said).to.deep.equal([0, 0]);
    expect(
      numbers('requests').every((count) => count > SECONDS),
      found,
    ).to.equal(true);
    expect(numbers('changes')[0], found).to.be.at.least(2);
  }).timeout(180_000);
});
