import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { makeLibrary, type Library } from '../record/fixtures/library.ts';
import { BOOK_HEADER, bookHistory, bookRows, booksOf, importBooks, importTables } from './fixtures/library-import.ts';

const isSource = import.meta.url.endsWith('.ts');
const CHILD = fileURLToPath(new URL(`./fixtures/import-child.${isSource ? 'ts' : 'js'}`, import.meta.url));

function runChild(args: readonly string[]): Promise<{ readonly signal: string | null; readonly said: string }> {
  const child = spawn(process.execPath, [...(isSource ? ['--import=tsx'] : []), CHILD, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_code, signal) => resolve({ signal, said }));
  });
}

describe('an import that is killed', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'import-resume-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  // 47 rows in blocks of 10: one of them has no title, one repeats an earlier line of another block. No row has a unique key that
  // would find what the first process wrote, so that a row written twice would be there twice.
  const lines = bookRows(0, 47).map((line, index) => (index === 33 ? line.replace(/^Book 33/, '') : line));
  const text = `${BOOK_HEADER.replace('isbn', 'comment')}\n${lines.join('\n')}\n`;

  async function withLibrary(work: (library: Library) => Promise<void>): Promise<void> {
    const library = await makeLibrary();
    try {
      await work(library);
    } finally {
      await library.drop();
    }
  }
  const titles = async (library: Library): Promise<readonly string[]> => {
    const found = await rows(library.db, sql`select changes, record_id from credenza.record_history order by record_id`);
    return found.map((row) => String(row['record_id']));
  };

  for (const [point, survivors] of [
    ['import.after_staging:1', 0],
    ['import.in_chunk:1', 0],
    ['import.in_chunk:4', 20],
    ['import.after_chunk:1', 10],
    ['import.after_chunk:3', 30],
    ['import.after_chunk:5', 46],
    ['record.after_write:2', 0],
    ['record.after_history:3', 10],
  ] as const) {
    it(`at ${point} is gone on with by the next start: no row twice, none missing, the counts of the whole file`, async () => {
      await withLibrary(async (library) => {
        const file = join(directory, 'books.csv');
        writeFileSync(file, text);
        const { signal, said } = await runChild([library.url, point, file]);
        expect(signal, said).to.equal('SIGKILL');
        const before = await titles(library);
        expect(before.length, 'records of the killed process')
          .to.be.at.least(survivors)
          .and.at.most(survivors + 10);
        const { result, rejected, isResumed } = await importBooks(library, text);
        expect(isResumed).to.equal(true);
        expect(result).to.deep.equal({ read: 47, created: 46, updated: 0, unchanged: 0, rejected: 1 });
        expect(rejected.map(({ line, column }) => [line, column])).to.deep.equal([[35, 'title']]);
        expect(await titles(library))
          .to.have.length(46)
          .and.to.include.members([...before]);
        expect(await bookHistory(library)).to.equal(46);
        expect(await importTables(library)).to.deep.equal({ blocks: 0, states: ['done'] });
      });
    });
  }

  it('is not begun a second time while the first is at work, and says how to end that', async () => {
    await withLibrary(async (library) => {
      const file = join(directory, 'books.csv');
      writeFileSync(file, text);
      await runChild([library.url, 'import.after_chunk:1', file]);
      await run(library.db, sql`update credenza.import_job set holder = 'elsewhere:1:x', lease_until = '2999-01-01'`);
      const message = await importBooks(library, text).then(
        () => 'done',
        (error: unknown) => (error instanceof Error ? error.message : ''),
      );
      expect(message).to.match(/being imported already, by job .*import cancel/);
      expect((await importTables(library)).states).to.deep.equal(['running']);
    });
  });

  it('keeps keys apart that stand on both sides of the kill', async () => {
    await withLibrary(async (library) => {
      const repeated = `${BOOK_HEADER}\n${[...bookRows(0, 25), ...bookRows(3, 1)].join('\n')}\n`;
      const file = join(directory, 'repeated.csv');
      writeFileSync(file, repeated);
      await runChild([library.url, 'import.after_chunk:2', file]);
      const { result, rejected } = await importBooks(library, repeated);
      expect(result).to.deep.equal({ read: 26, created: 25, updated: 0, unchanged: 0, rejected: 1 });
      expect(rejected.map(({ line, reason }) => [line, reason])).to.deep.equal([[27, 'The row repeats line 5. Keep one of the two.']]);
      expect((await booksOf(library)).size).to.equal(25);
    });
  });
});
