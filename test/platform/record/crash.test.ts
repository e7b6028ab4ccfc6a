import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setFaultPlan } from '../../../src/platform/fault.ts';
import { contextOf, makeLibrary, sideCounts, type Library } from './fixtures/library.ts';

const isSource = import.meta.url.endsWith('.ts');
const CHILD = fileURLToPath(new URL(`./fixtures/crash-child.${isSource ? 'ts' : 'js'}`, import.meta.url));

function runChild(args: readonly string[]): Promise<{ code: number | null; signal: string | null; said: string }> {
  const child = spawn(process.execPath, [...(isSource ? ['--import=tsx'] : []), CHILD, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, said }));
  });
}

describe('record engine: kill -9 at named points', () => {
  let library: Library;

  before(async () => {
    library = await makeLibrary();
  });
  after(() => library.drop());
  afterEach(() => setFaultPlan(null));

  it('refuses a plan that it cannot read', () => {
    for (const plan of ['record.after_write', 'record.after_write:0', 'record:1:2', 'X:1']) expect(() => setFaultPlan(plan), plan).to.throw(RangeError);
    setFaultPlan('record.after_write:3,mail.sent:1');
    setFaultPlan(null);
  });

  const cases = [
    ['record.before_write', 0],
    ['record.after_write', 0],
    ['record.after_history', 0],
    ['record.before_commit', 0],
    ['record.after_commit', 1],
  ] as const;
  for (const [point, rows] of cases) {
    it(`leaves ${rows === 0 ? 'nothing' : 'everything'} when killed at ${point}`, async () => {
      const id = contextOf(library).newId();
      const { signal, said } = await runChild([library.url, `${point}:1`, id]);
      expect(signal, said).to.equal('SIGKILL');
      expect(await sideCounts(library.db, id)).to.deep.equal({ history: rows, audit: rows, event: rows, search: rows });
    });
  }

  it('finishes when the plan names a later visit than there is', async () => {
    const id = contextOf(library).newId();
    const { code, said } = await runChild([library.url, 'record.after_write:2', id]);
    expect(code, said).to.equal(0);
    expect((await sideCounts(library.db, id)).history).to.equal(1);
  });
});
