import { expect } from 'chai';
import { inTransaction } from '../../../src/platform/db.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { untilBlocked } from './fixtures/blocked.ts';
import { addPeople, contextOf, makeLibrary, sideCounts, type Library } from './fixtures/library.ts';
import { refused } from './fixtures/refused.ts';

describe('record engine: trash and references', () => {
  let library: Library;
  const engine = makeRecordEngine();
  const reader = makeReader();

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  const clerk = () => contextOf(library);
  const create = async (object: string, values: Record<string, unknown>) => (await engine.writeOne(library.db, clerk(), object, { kind: 'create', values })).id;
  const trash = (object: string, id: string, version = 1) => engine.writeOne(library.db, clerk(), object, { kind: 'delete', id, version });

  it('moves to the trash and back with history, audit, event and search entry', async () => {
    const id = await create('Book', { title: 'There and back' });
    const { record, version } = await trash('Book', id);
    expect([record, version]).to.deep.equal([null, 2]);
    expect((await refused(reader.get(library.db, clerk(), 'Book', id))).code).to.equal('not_found');
    expect(await sideCounts(library.db, id)).to.deep.equal({ history: 2, audit: 2, event: 2, search: 0 });
    expect((await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'update', id, version: 2, values: { title: 'x' } }))).code).to.equal(
      'not_found',
    );
    const back = await engine.writeOne(library.db, clerk(), 'Book', { kind: 'restore', id, version: 2 });
    expect(back.record).to.include({ title: 'There and back', version: 3 });
    expect(await sideCounts(library.db, id)).to.deep.equal({ history: 3, audit: 3, event: 3, search: 1 });
    expect((await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'restore', id, version: 3 }))).code).to.equal('conflict_state');
  });

  it('refuses with a count, and nothing but a count, while records that restrict point to it', async () => {
    const shelf = await create('Shelf', { name: 'Held' });
    const first = await create('Book', { title: 'Holder one', shelf });
    const second = await create('Book', { title: 'Holder two', shelf });
    const error = await refused(trash('Shelf', shelf));
    expect(error.code).to.equal('conflict_reference');
    expect(error.extra).to.deep.equal({ count: 2 });
    expect(JSON.stringify(error.errors)).not.to.contain('Holder');
    await trash('Book', first);
    await trash('Book', second);
    await trash('Shelf', shelf);
    const back = await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'restore', id: first, version: 2 }));
    expect(back.code).to.equal('conflict_reference');
    expect(back.errors[0]?.pointer).to.equal('/shelf');
  });

  it('counts polymorphic references too', async () => {
    const book = await create('Book', { title: 'Talked about' });
    await create('Remark', { text: 'r', about: { object: 'Book', id: book } });
    expect((await refused(trash('Book', book))).extra).to.deep.equal({ count: 1 });
  });

  it('clears or trashes what points to it as the reference says, through the same pipeline', async () => {
    const book = await create('Book', { title: 'Root' });
    const note = await create('Note', { book, text: 'n' });
    const loan = await create('Loan', { book, reader: 'r' });
    await trash('Book', book);
    expect((await refused(reader.get(library.db, clerk(), 'Note', note))).code).to.equal('not_found');
    expect(await reader.get(library.db, clerk(), 'Loan', loan)).to.include({ book: null, version: 2 });
    expect((await sideCounts(library.db, note)).history).to.equal(2);
    expect((await sideCounts(library.db, loan)).event).to.equal(2);
  });

  it('lets either the reference or the trashing win, never both', async () => {
    for (let round = 0; round < 8; round += 1) {
      const shelf = await create('Shelf', { name: `Race ${round}` });
      const outcomes = await Promise.allSettled([create('Book', { title: `Racer ${round}`, shelf }), trash('Shelf', shelf)]);
      expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).to.have.length(1);
      const table = library.model.objects.get('Shelf')?.table ?? '';
      const [row] = await rows(
        library.db,
        sql`select deleted_at from ${{ kind: 'sql' as const, text: `credenza."${table}"`, values: [] }} where id = ${shelf}::uuid`,
      );
      expect(row?.['deleted_at'] === null).to.equal(outcomes[0].status === 'fulfilled');
    }
  });

  it('waits for a reference that is being written, then refuses', async () => {
    const shelf = await create('Shelf', { name: 'Awaited' });
    let trashing: Promise<unknown> = Promise.resolve();
    await inTransaction(library.db, async (tx) => {
      await engine.write(tx, clerk(), 'Book', [{ kind: 'create', values: { title: 'Not yet committed', shelf } }]);
      trashing = refused(trash('Shelf', shelf));
      await untilBlocked(library.db);
    });
    expect(await trashing).to.include({ code: 'conflict_reference' });
  });
});
