import { expect } from 'chai';
import { isAppError } from '../../../src/platform/errors.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { addPeople, ANNA, BERT, contextOf, makeLibrary, SYSTEM, type Library } from '../record/fixtures/library.ts';
import { BOOK_HEADER, bookRows, booksOf, importBooks } from './fixtures/library-import.ts';

const file = (...lines: readonly string[]): string => `${[BOOK_HEADER, ...lines].join('\n')}\n`;

describe('import with the rights of a user', () => {
  let library: Library;

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  it('creates and updates, each write under the name of the user and at the version that was read', async () => {
    const context = contextOf(library, { sets: ['clerk'] });
    const first = await importBooks(library, file(...bookRows(0, 25)), { context });
    expect(first.result).to.deep.equal({ read: 25, created: 25, updated: 0, unchanged: 0, rejected: 0 });
    const changed = file(...bookRows(0, 25).map((line, index) => (index < 3 ? line.replace(/\d+$/, '999') : line)));
    const second = await importBooks(library, changed, { context });
    expect(second.result).to.deep.equal({ read: 25, created: 0, updated: 3, unchanged: 22, rejected: 0 });
    const book = (await booksOf(library)).get('isbn-1');
    expect(book).to.include({ pages: 999, version: 2, updatedBy: ANNA });
    const [history] = await rows(library.db, sql`select actor, cause from credenza.record_history where record_id = ${book?.id}::uuid and version = 2`);
    expect(history?.['actor']).to.equal(ANNA);
    expect(history?.['cause']).to.deep.equal({ kind: 'import', job: second.jobId });
  });

  it('holds row rules: what is not the caller’s is neither found nor changed', async () => {
    const engine = makeRecordEngine();
    const create = (userId: string, isbn: string) =>
      engine.writeOne(library.db, contextOf(library, { userId, sets: ['clerk'] }), 'Book', { kind: 'create', values: { title: isbn, isbn } });
    await create(ANNA, 'own');
    await create(BERT, 'foreign');
    const context = contextOf(library, { sets: ['keeper'] });
    const { result, rejected } = await importBooks(library, 'title,isbn\n', { context }).catch((error: unknown) => {
      if (!isAppError(error, 'bad_request')) throw error;
      return { result: null, rejected: [{ reason: error.message }] };
    });
    // A keeper may not set the isbn at all: said once, before anything is read, not once a row.
    expect(result).to.equal(null);
    expect(rejected[0]?.reason).to.match(/may not set.*isbn/i);
    const books = await booksOf(library);
    const byId = await importBooks(library, `id,title\n${String(books.get('own')?.id)},Mine\n${String(books.get('foreign')?.id)},Taken\n`, { context });
    expect(byId.result).to.deep.equal({ read: 2, created: 0, updated: 1, unchanged: 0, rejected: 1 });
    expect(byId.rejected[0]).to.include({ line: 3, column: 'id', reason: 'There is no Book with this id, or you may not see it.' });
    const after = await booksOf(library);
    expect([after.get('own')?.['title'], after.get('foreign')?.['title']]).to.deep.equal(['Mine', 'foreign']);
  });

  it('is refused to who may only read, and asks for no more than it does', async () => {
    const refusal = async (context: ReturnType<typeof contextOf>, more: object = {}): Promise<string> =>
      importBooks(library, file(...bookRows(0, 1)), { context, ...more }).then(
        () => 'done',
        (error: unknown) => (isAppError(error, 'forbidden') ? error.message : String(error)),
      );
    const watcher = contextOf(library, { sets: ['watcher'] });
    expect(await refusal(watcher)).to.equal('Importing Books needs the right to create and to change them.');
    expect(await refusal(watcher, { existing: 'skip' })).to.equal('Importing Books needs the right to create them.');
  });

  it('matches a row anew when somebody changed its record between match and write', async () => {
    const context = contextOf(library, { sets: ['clerk'] });
    await importBooks(library, file('Contested,contested,10'), { context });
    // The first event after the match: a hook of the engine cannot do it, another connection's commit can.
    const books = await booksOf(library);
    const id = String(books.get('contested')?.id);
    const other = library.db.transaction(async (tx) => {
      await makeRecordEngine().write(tx, contextOf(library, { principal: SYSTEM }), 'Book', [{ kind: 'update', id, values: { comment: 'mine' } }]);
      await waiting(library);
    });
    const [{ result }] = await Promise.all([importBooks(library, file('Contested,contested,20'), { context }), other]);
    expect(result).to.deep.equal({ read: 1, created: 0, updated: 1, unchanged: 0, rejected: 0 });
    expect((await booksOf(library)).get('contested')).to.include({ pages: 20, comment: 'mine', version: 3 });
  });
});

/** Waits until some statement of this database waits for a lock. */
async function waiting(library: Library): Promise<void> {
  for (;;) {
    const found = await rows(library.db, sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
    if (found.length > 0) return;
  }
}
