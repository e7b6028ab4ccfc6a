import { expect } from 'chai';
import { inTransaction } from '../../../src/platform/db.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { untilBlocked } from './fixtures/blocked.ts';
import { addPeople, contextOf, makeLibrary, NOW, SYSTEM, type Library } from './fixtures/library.ts';
import { pointers, refused } from './fixtures/refused.ts';

describe('record engine: paths', () => {
  let library: Library;
  const engine = makeRecordEngine();

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  const clerk = () => contextOf(library);
  const system = () => contextOf(library, { principal: SYSTEM });
  const create = async (object: string, values: Record<string, unknown>, context = clerk()) =>
    (await engine.writeOne(library.db, context, object, { kind: 'create', values })).id;
  let shelves = 0;
  const readyBook = async (values: Record<string, unknown> = {}) => {
    const shelf = await create('Shelf', { name: `S${(shelves += 1)}` });
    const book = await create('Book', { title: `B${shelves}`, shelf, pages: 5, ...values });
    await create('Note', { book, text: 'x', done: true });
    return book;
  };

  it('lists every failing guard and every missing field with message and fix', async () => {
    const id = await create('Book', { title: 'Bare' });
    const error = await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'transition', id, version: 1, transition: 'prepare' }));
    expect(error.code).to.equal('conflict_state');
    expect(error.errors.map((entry) => [entry.pointer, entry.code, entry.rule, entry.fix ?? null])).to.deep.equal([
      ['', 'guard', 'noted', 'Finish a note.'],
      ['', 'guard', 'shelved', null],
      ['/pages', 'required', 'prepare', null],
    ]);
    const [row] = await rows(library.db, sql`select count(*)::int as n from credenza.record_history where record_id = ${id}::uuid`);
    expect(row?.['n']).to.equal(1);
  });

  it('moves, sets what the transition sets and says so in history, audit and event', async () => {
    const id = await readyBook();
    const { record, version } = await engine.writeOne(library.db, clerk(), 'Book', {
      kind: 'transition',
      id,
      version: 1,
      transition: 'prepare',
      values: { comment: 'done' },
    });
    expect(version).to.equal(2);
    expect(record).to.include({ status: 'ready', readyAt: NOW, comment: 'done' });
    const [event] = await rows(library.db, sql`select transition, changed, kind from credenza.event where record_id = ${id}::uuid order by seq desc limit 1`);
    expect(event).to.deep.include({ transition: 'prepare', kind: 'updated' });
    expect(event?.['changed']).to.have.members(['status', 'readyAt', 'comment']);
    const [audit] = await rows(library.db, sql`select action from credenza.audit_entry where record_id = ${id}::uuid order by id desc limit 1`);
    expect(audit?.['action']).to.equal('transition:prepare');
  });

  it('refuses a transition that begins elsewhere and says what leads on', async () => {
    const id = await readyBook();
    const error = await refused(engine.writeOne(library.db, system(), 'Book', { kind: 'transition', id, transition: 'sell', values: { price: 1 } }));
    expect(error.code).to.equal('conflict_state');
    expect(error.errors[0]).to.include({ pointer: '/status', fix: 'From here: prepare.' });
    expect((await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'transition', id, version: 1, transition: 'prepair' }))).code).to.be.oneOf([
      'not_found',
      'forbidden',
    ]);
    expect((await refused(engine.writeOne(library.db, system(), 'Book', { kind: 'transition', id, transition: 'prepair' }))).errors[0]?.fix).to.equal(
      'Did you mean prepare?',
    );
  });

  it('takes only the fields that the transition accepts', async () => {
    const id = await readyBook();
    const error = await refused(
      engine.writeOne(library.db, clerk(), 'Book', { kind: 'transition', id, version: 1, transition: 'prepare', values: { title: 'Sneaked in' } }),
    );
    expect(error.code).to.equal('validation_failed');
    expect(error.errors[0]).to.include({ pointer: '/title', code: 'not_accepted' });
  });

  it('changes the state by transition only', async () => {
    const id = await readyBook();
    const update = await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'update', id, version: 1, values: { status: 'ready' } }));
    expect(update.errors[0]).to.include({ pointer: '/status', code: 'state', fix: 'Use the transition prepare.' });
    expect((await refused(engine.writeOne(library.db, system(), 'Book', { kind: 'update', id, values: { status: 'ready' } }))).errors[0]?.code).to.equal(
      'state',
    );
    expect(pointers(await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'create', values: { title: 'x', status: 'sold' } })))).to.deep.equal([
      '/status',
    ]);
    const { record } = await engine.writeOne(library.db, clerk(), 'Book', { kind: 'create', values: { title: 'Begins', status: 'draft' } });
    expect(record?.['status']).to.equal('draft');
    const { record: imported } = await engine.writeOne(library.db, system(), 'Book', { kind: 'create', values: { title: 'Imported', status: 'sold' } });
    expect(imported?.['status']).to.equal('sold');
    expect(
      (await refused(engine.writeOne(library.db, system(), 'Book', { kind: 'create', values: { title: 'x', status: 'burnt' } }))).errors[0]?.pointer,
    ).to.equal('/status');
  });

  it('allows a transition by its name in a permission set', async () => {
    const id = await readyBook({ price: 5 });
    await engine.writeOne(library.db, clerk(), 'Book', { kind: 'transition', id, version: 1, transition: 'prepare' });
    const error = await refused(engine.writeOne(library.db, clerk(), 'Book', { kind: 'transition', id, version: 2, transition: 'sell' }));
    expect(error.code).to.equal('forbidden');
  });

  it('holds the parent while a guard looks at its children, so that a child cannot slip away meanwhile', async () => {
    const id = await readyBook();
    const [child] = await rows(library.db, sql`select record_id from credenza.event where object = 'Note' order by seq desc limit 1`);
    const note = String(child?.['record_id']);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let reached: () => void = () => undefined;
    const moved = new Promise<void>((resolve) => (reached = resolve));
    const moving = inTransaction(library.db, async (tx) => {
      await engine.write(tx, clerk(), 'Book', [{ kind: 'transition', id, version: 1, transition: 'prepare' }]);
      reached();
      await held;
    });
    await moved;
    let isDone = false;
    const undoing = engine.writeOne(library.db, clerk(), 'Note', { kind: 'update', id: note, version: 1, values: { done: false } }).then(() => (isDone = true));
    await untilBlocked(library.db);
    expect(isDone).to.equal(false);
    release();
    await Promise.all([moving, undoing]);
    expect(isDone).to.equal(true);
  });
});
