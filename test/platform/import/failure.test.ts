import { expect } from 'chai';
import { AppError } from '../../../src/platform/errors.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { run, sql } from '../../../src/platform/sql.ts';
import { makeLibrary, type Library } from '../record/fixtures/library.ts';
import { BOOK_HEADER, bookHistory, bookRows, importBooks, importTables } from './fixtures/library-import.ts';

const text = `${BOOK_HEADER}\n${bookRows(0, 25).join('\n')}\n`;

describe('an import that fails', () => {
  let library: Library;
  beforeEach(async () => {
    library = await makeLibrary();
  });
  afterEach(() => library.drop());

  const failing = (before: () => Promise<void>) =>
    makeRecordEngine({
      hooks: [
        {
          object: 'Book',
          afterWrite: async () => {
            await before();
            throw new Error('the first error');
          },
        },
      ],
    });
  const messageOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: unknown) => (error instanceof Error ? error.message : 'no error'),
    );

  it('reports what went wrong first, also when its end cannot be noted', async () => {
    const engine = failing(() => run(library.db, sql`alter table if exists credenza.import_job rename to import_job_gone`).then(() => undefined));
    expect(await messageOf(importBooks(library, text, { engine, blockRows: 100 }))).to.equal('the first error');
    await run(library.db, sql`alter table credenza.import_job_gone rename to import_job`);
    expect(await importTables(library)).to.deep.equal({ blocks: 1, states: ['running'] });
    expect(await bookHistory(library)).to.equal(0);
  });

  it('leaves no staged rows, and what is written of a block with the block', async () => {
    expect(await messageOf(importBooks(library, text, { engine: failing(() => Promise.resolve()) }))).to.equal('the first error');
    expect(await importTables(library)).to.deep.equal({ blocks: 0, states: ['failed'] });
    expect(await bookHistory(library)).to.equal(0);
  });

  it('ends as the error of whoever is told of rejected rows', async () => {
    const { makeImporter } = await import('../../../src/platform/import/import.ts');
    const { contextOf, SYSTEM } = await import('../record/fixtures/library.ts');
    const { Readable } = await import('node:stream');
    const work = makeImporter({ engine: makeRecordEngine() }).run(
      library.db,
      contextOf(library, { principal: SYSTEM }),
      { object: 'Book', map: null, fileName: 'x.csv', content: Readable.from([`${text},x,1\n`]) },
      () => {
        throw new AppError('bad_request', 'The error file is full.');
      },
    );
    expect(await messageOf(work)).to.equal('The error file is full.');
    expect((await importTables(library)).states).to.deep.equal(['failed']);
  });
});
