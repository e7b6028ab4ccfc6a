import { expect } from 'chai';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { addPeople, ANNA, BERT, contextOf, makeLibrary, SYSTEM, type Library } from './fixtures/library.ts';
import { pointers, refused } from './fixtures/refused.ts';

describe('record engine: rights', () => {
  let library: Library;
  const engine = makeRecordEngine();
  const one = (context: Parameters<typeof engine.writeOne>[1], object: string, item: Parameters<typeof engine.writeOne>[3]) =>
    engine.writeOne(library.db, context, object, item);

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  const system = () => contextOf(library, { principal: SYSTEM });
  const keeper = (userId = ANNA) => contextOf(library, { sets: ['keeper'], userId });
  const create = async (object: string, values: Record<string, unknown>) => (await one(system(), object, { kind: 'create', values })).id;

  it('denies by default: an object without a grant does not exist, an act without one is forbidden', async () => {
    const watcher = contextOf(library, { sets: ['watcher'] });
    const id = await create('Book', { title: 'Watched' });
    expect((await refused(one(watcher, 'Shelf', { kind: 'create', values: { name: 'x' } }))).code).to.equal('not_found');
    expect((await refused(one(watcher, 'Book', { kind: 'create', values: { title: 'x' } }))).code).to.equal('forbidden');
    expect((await refused(one(watcher, 'Book', { kind: 'update', id, version: 1, values: { title: 'x' } }))).code).to.equal('forbidden');
    expect((await refused(one(watcher, 'Book', { kind: 'delete', id, version: 1 }))).code).to.equal('forbidden');
    expect((await refused(one(watcher, 'Book', { kind: 'transition', id, version: 1, transition: 'prepare' }))).code).to.equal('forbidden');
    expect((await refused(one(contextOf(library, { principal: { kind: 'guest' } }), 'Book', { kind: 'create', values: { title: 'x' } }))).code).to.equal(
      'not_found',
    );
  });

  it('applies the row rule to the record before and after the change', async () => {
    const { id } = await one(keeper(), 'Book', { kind: 'create', values: { title: 'Mine' } });
    expect((await refused(one(keeper(BERT), 'Book', { kind: 'update', id, version: 1, values: { title: 'Yours' } }))).code).to.equal('not_found');
    const handedOver = await refused(one(keeper(), 'Book', { kind: 'update', id, version: 1, values: { ownerId: BERT } }));
    expect(handedOver.code).to.equal('forbidden');
    const { version } = await one(keeper(), 'Book', { kind: 'update', id, version: 1, values: { title: 'Still mine' } });
    expect(version).to.equal(2);
  });

  it('lets only granted fields be set, and hides that others exist', async () => {
    const { id } = await one(keeper(), 'Book', { kind: 'create', values: { title: 'Fields' } });
    const closed = await refused(one(keeper(), 'Book', { kind: 'update', id, version: 1, values: { comment: 'x', title: 'y' } }));
    expect(closed.code).to.equal('forbidden');
    expect(pointers(closed)).to.deep.equal(['/comment']);
    const hidden = await refused(one(keeper(), 'Book', { kind: 'update', id, version: 1, values: { appraisal: 'x' } }));
    const missing = await refused(one(keeper(), 'Book', { kind: 'update', id, version: 1, values: { apprasial: 'x' } }));
    expect(hidden.errors[0]?.code).to.equal(missing.errors[0]?.code);
    expect(missing.errors[0]?.fix ?? '').not.to.contain('appraisal');
  });

  it('takes a reference to a record that the caller may not see for one to nothing', async () => {
    const open = await create('Shelf', { name: 'Open' });
    const secret = await create('Shelf', { name: 'Secret', closed: true });
    const error = await refused(one(keeper(), 'Book', { kind: 'create', values: { title: 'T', shelf: secret } }));
    const nowhere = await refused(one(keeper(), 'Book', { kind: 'create', values: { title: 'T', shelf: '01900000-0000-7000-8000-0000000000ff' } }));
    expect(error.errors.some((entry) => entry.pointer === '/shelf' && entry.code === 'reference')).to.equal(true);
    expect(error.errors).to.deep.equal(nowhere.errors);
    const { record } = await one(keeper(), 'Book', { kind: 'create', values: { title: 'T', shelf: open } });
    expect(record?.['shelf']).to.equal(open);
  });

  it("answers nothing of a record that is out of the caller's sight after the write", async () => {
    const id = await create('Book', { title: 'Handed', ownerId: ANNA });
    const context = { ...keeper(), principal: { kind: 'user', userId: ANNA, permissionSets: ['keeper'], email: 'a@library.example', name: 'Anna' } } as const;
    expect((await one(context, 'Book', { kind: 'update', id, version: 1, values: { pages: 3 } })).record).to.include({ pages: 3 });
    const { record } = await one(context, 'Book', { kind: 'create', values: { title: 'For Bert', ownerId: BERT } });
    expect(record).to.equal(null);
  });

  it('lets a portal caller touch its own subject only', async () => {
    const mine = await create('Book', { title: 'Subject' });
    const other = await create('Book', { title: 'Other' });
    const visitor = contextOf(library, { principal: { kind: 'portal', permissionSets: ['visitor'], subject: { object: 'Book', id: mine }, linkId: 'l1' } });
    const { record } = await one(visitor, 'Book', { kind: 'update', id: mine, version: 1, values: { comment: 'hello' } });
    expect(record).to.include({ comment: 'hello', updatedBy: 'portal:l1' });
    expect((await refused(one(visitor, 'Book', { kind: 'update', id: other, version: 1, values: { comment: 'x' } }))).code).to.equal('not_found');
    expect((await one(visitor, 'Note', { kind: 'create', values: { book: mine, text: 'n' } })).version).to.equal(1);
    expect((await refused(one(visitor, 'Note', { kind: 'create', values: { book: other, text: 'n' } }))).code).to.equal('validation_failed');
    expect((await refused(one(visitor, 'Note', { kind: 'create', values: { text: 'n' } }))).code).to.equal('validation_failed');
  });
});
