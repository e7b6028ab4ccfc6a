import { expect } from 'chai';
import { inTransaction } from '../../../src/platform/db.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { RecordChange } from '../../../src/platform/record/types.ts';
import { addPeople, ANNA, contextOf, makeLibrary, NOW, sideCounts, SYSTEM, type Library } from './fixtures/library.ts';
import { pointers, refused } from './fixtures/refused.ts';

describe('record engine: creating and changing', () => {
  let library: Library;
  const engine = makeRecordEngine();

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  const create = (values: Record<string, unknown>, options = {}) =>
    engine.writeOne(library.db, contextOf(library, options), 'Book', { kind: 'create', values });

  it('answers the record with coerced values, defaults, owner, initial state and its number', async () => {
    const { record, version } = await create({
      title: '  Atlas of Air ',
      pages: '1,200',
      price: '$12.50',
      genre: 'Atlas',
      tags: 'a; b;a',
      place: { city: ' Springfield ', postalCode: '011012345' },
      comment: '',
    });
    expect(version).to.equal(1);
    expect(record).to.include({
      title: 'Atlas of Air',
      pages: 1200,
      price: '12.5',
      genre: 'atlas',
      status: 'draft',
      number: 'BK-000001',
      boughtOn: '2026-03-02',
      ownerId: ANNA,
      createdBy: ANNA,
      createdAt: NOW,
      comment: null,
      version: 1,
    });
    expect(record?.['tags']).to.deep.equal(['a', 'b']);
    expect(record?.['place']).to.deep.equal({ city: 'Springfield', postalCode: '01101-2345' });
    expect(record).not.to.have.property('appraisal');
  });

  it('answers with the same record that a read gives', async () => {
    const { record, id } = await create({ title: 'Same', price: '10', tags: ['x'], soldOn: '2026-04-01' });
    expect(record).to.deep.equal(await makeReader().get(library.db, contextOf(library), 'Book', id));
  });

  it('writes history without values, audit, event with images and a search entry for a new record', async () => {
    const { id } = await create({ title: 'Beside' });
    expect(await sideCounts(library.db, id)).to.deep.equal({ history: 1, audit: 1, event: 1, search: 1 });
    const [history] = await rows(library.db, sql`select kind, version, changes, actor, cause from credenza.record_history where record_id = ${id}::uuid`);
    expect(history).to.deep.include({ kind: 'created', version: 1, changes: {}, actor: ANNA, cause: { kind: 'request', requestId: 'r-1' } });
    const [event] = await rows(library.db, sql`select kind, before, after, changed, depth from credenza.event where record_id = ${id}::uuid`);
    expect(event?.['before']).to.equal(null);
    expect(event?.['after']).to.include({ title: 'Beside', status: 'draft', id });
    expect(event?.['changed']).to.include.members(['title', 'genre']);
    const [search] = await rows(library.db, sql`select object, class, keys from credenza.search_entry where record_id = ${id}::uuid`);
    expect(search).to.deep.equal({ object: 'Book', class: 'open', keys: 'beside' });
  });

  it('reports everything that is wrong at once, each at its place', async () => {
    const error = await refused(
      create({ titel: 'x', pages: 'many', price: '-1', boughtOn: '2026-02-10', soldOn: '2026-02-01', readyAt: 'soon', number: 'BK-1', version: 7 }),
    );
    expect(error.code).to.equal('validation_failed');
    expect(pointers(error)).to.have.members(['/titel', '/title', '/pages', '/price', '/readyAt', '/number', '/version', '/soldOn']);
    const of = (pointer: string) => error.errors.find((entry) => entry.pointer === pointer);
    expect(of('/titel')?.fix).to.equal('Did you mean title?');
    expect(of('/soldOn')).to.include({ rule: 'sold-after-bought', fix: 'Check both days.' });
    expect(of('/title')?.code).to.equal('required');
  });

  it('takes __proto__ and constructor for the unknown fields they are', async () => {
    const values: Record<string, unknown> = JSON.parse('{"title":"P","__proto__":{"version":99},"constructor":1}');
    const error = await refused(create(values));
    expect(pointers(error)).to.have.members(['/__proto__', '/constructor']);
    expect(({} as Record<string, unknown>)['version']).to.equal(undefined);
  });

  it('refuses text that cannot be stored, wherever it stands', async () => {
    const error = await refused(create({ title: 'a\u0000b', tags: ['ok', '\ud800'], place: { city: 'x\u0000' } }));
    expect(error.code).to.equal('validation_failed');
    expect(error.errors.filter((entry) => entry.code === 'not_text').map((entry) => entry.pointer)).to.have.members(['/title', '/tags', '/place']);
  });

  it('updates only what differs and keeps old and new values by field id', async () => {
    const { id } = await create({ title: 'First', comment: 'old', pages: 10 });
    const { record, version } = await engine.writeOne(library.db, contextOf(library, { now: '2026-03-03T09:00:00.000Z' }), 'Book', {
      kind: 'update',
      id,
      version: 1,
      values: { comment: null, pages: '10', title: 'Second' },
    });
    expect(version).to.equal(2);
    expect(record).to.include({ title: 'Second', comment: null, pages: 10, updatedAt: '2026-03-03T09:00:00.000Z', createdAt: NOW });
    const [history] = await rows(library.db, sql`select changes from credenza.record_history where record_id = ${id}::uuid and version = 2`);
    const fields = library.model.objects.get('Book')?.fields;
    expect(history?.['changes']).to.deep.equal({ [fields?.get('title')?.id ?? '']: ['First', 'Second'], [fields?.get('comment')?.id ?? '']: ['old', null] });
    const [event] = await rows(library.db, sql`select before, after, changed from credenza.event where record_id = ${id}::uuid and kind = 'updated'`);
    expect(event?.['changed']).to.have.members(['title', 'comment']);
    expect(event?.['before']).to.include({ title: 'First', version: 1 });
    expect(event?.['after']).to.include({ title: 'Second', version: 2 });
    const [search] = await rows(library.db, sql`select keys from credenza.search_entry where record_id = ${id}::uuid`);
    expect(search?.['keys']).to.equal('second');
  });

  it('writes nothing at all when nothing changes', async () => {
    const { id } = await create({ title: 'Quiet', price: '10.50', tags: ['a'], place: { city: 'X', state: 'MA' } });
    const before = await sideCounts(library.db, id);
    const [outcome] = await inTransaction(library.db, (tx) =>
      engine.write(tx, contextOf(library), 'Book', [
        { kind: 'update', id, version: 1, values: { title: 'Quiet ', price: 10.5, tags: 'a', place: { state: 'MA', city: 'X' }, comment: '' } },
      ]),
    );
    expect(outcome).to.deep.equal({ ok: true, id, version: 1, changed: false, created: false });
    expect(await sideCounts(library.db, id)).to.deep.equal(before);
  });

  it('refuses a required field that is emptied, whatever the form of empty', async () => {
    const { id } = await create({ title: 'Full' });
    for (const title of [null, '', '   ']) {
      const error = await refused(engine.writeOne(library.db, contextOf(library), 'Book', { kind: 'update', id, version: 1, values: { title } }));
      expect(error.errors).to.have.length(1);
      expect(error.errors[0]).to.include({ pointer: '/title', code: 'required' });
    }
  });

  it('refuses a stale version with the current record and the fields that clash', async () => {
    const { id } = await create({ title: 'Old', comment: 'c', pages: 3 });
    const write = (version: number, values: Record<string, unknown>) =>
      engine.writeOne(library.db, contextOf(library), 'Book', { kind: 'update', id, version, values });
    await write(1, { title: 'Newer', pages: 4 });
    const error = await refused(write(1, { title: 'Mine', comment: 'mine' }));
    expect(error.code).to.equal('conflict_version');
    expect(error.extra['clashing']).to.deep.equal(['title']);
    expect(error.extra['current']).to.include({ title: 'Newer', version: 2, comment: 'c' });
    expect(error.extra['current']).not.to.have.property('appraisal');
  });

  it('asks people for the version, the system not', async () => {
    const { id } = await create({ title: 'Versioned' });
    expect((await refused(engine.writeOne(library.db, contextOf(library), 'Book', { kind: 'update', id, values: { title: 'x' } }))).code).to.equal(
      'precondition_required',
    );
    const { version } = await engine.writeOne(library.db, contextOf(library, { principal: SYSTEM }), 'Book', {
      kind: 'update',
      id,
      values: { title: 'By the system' },
    });
    expect(version).to.equal(2);
  });

  it('names the fields of a taken key and nothing of the other record', async () => {
    await create({ title: 'Owner of the key', isbn: '978-1', edition: 1 });
    const error = await refused(create({ title: 'Another', isbn: '978-1' }));
    expect(error.code).to.equal('conflict_unique');
    expect(pointers(error)).to.deep.equal(['/isbn']);
    expect(JSON.stringify([error.message, error.errors, error.extra])).not.to.contain('Owner of the key');
    const pair = await refused(create({ title: 'Owner of the key', edition: 1 }));
    expect(pointers(pair)).to.have.members(['/title', '/edition']);
  });

  it('lets a key be used again once its record is in the trash', async () => {
    const { id } = await create({ title: 'Gone', isbn: '978-2' });
    await engine.writeOne(library.db, contextOf(library), 'Book', { kind: 'delete', id, version: 1 });
    await create({ title: 'Heir', isbn: '978-2' });
    const error = await refused(engine.writeOne(library.db, contextOf(library), 'Book', { kind: 'restore', id, version: 2 }));
    expect(error.code).to.equal('conflict_unique');
    expect(pointers(error)).to.deep.equal(['/isbn']);
  });

  it('says at the field that a reference points nowhere', async () => {
    const error = await refused(create({ title: 'Lost', shelf: '01900000-0000-7000-8000-0000000000ff' }));
    expect(error.code).to.equal('validation_failed');
    expect(error.errors[0]).to.include({ pointer: '/shelf', code: 'reference' });
  });

  it('checks expressions across references', async () => {
    const { id: shelf } = await engine.writeOne(library.db, contextOf(library), 'Shelf', { kind: 'create', values: { name: 'Closed', closed: 'yes' } });
    const error = await refused(create({ title: 'On it', shelf }));
    expect(error.errors[0]).to.include({ pointer: '/shelf', rule: 'shelf-open' });
  });

  it('keeps a polymorphic reference as object and id, and finds the object of a bare id', async () => {
    const { id: about } = await create({ title: 'Remarkable' });
    const remark = (value: unknown) => engine.writeOne(library.db, contextOf(library), 'Remark', { kind: 'create', values: { text: 't', about: value } });
    expect((await remark({ object: 'Book', id: about })).record?.['about']).to.deep.equal({ object: 'Book', id: about });
    expect((await remark(about)).record?.['about']).to.deep.equal({ object: 'Book', id: about });
    expect((await refused(remark({ object: 'Shelf', id: about }))).errors[0]).to.include({ pointer: '/about', code: 'reference' });
    expect((await refused(remark({ object: 'Loan', id: about }))).code).to.equal('validation_failed');
  });

  it('answers computed fields through the reader', async () => {
    const { id: book } = await create({ title: 'With note' });
    const { record } = await engine.writeOne(library.db, contextOf(library), 'Note', { kind: 'create', values: { book, text: 'n' } });
    expect(record).to.include({ bookTitle: 'With note', done: false });
  });

  it('calls hooks inside the transaction with both images', async () => {
    const seen: RecordChange[] = [];
    const hooked = makeRecordEngine({ hooks: [{ object: 'Book', afterWrite: (_tx, _context, changes) => Promise.resolve(void seen.push(...changes)) }] });
    const { id } = await hooked.writeOne(library.db, contextOf(library), 'Book', { kind: 'create', values: { title: 'Hooked' } });
    await hooked.writeOne(library.db, contextOf(library), 'Book', { kind: 'update', id, version: 1, values: { title: 'Hooked twice' } });
    await hooked.writeOne(library.db, contextOf(library), 'Shelf', { kind: 'create', values: { name: 'Unseen' } });
    expect(seen.map((change) => [change.kind, change.before?.['title'] ?? null, change.after?.['title']])).to.deep.equal([
      ['created', null, 'Hooked'],
      ['updated', 'Hooked', 'Hooked twice'],
    ]);
  });

  it('leaves no trace of a write whose transaction fails at any named point', async () => {
    for (const point of ['record.before_write', 'record.after_write', 'record.after_history', 'record.before_commit']) {
      const failing = makeRecordEngine({
        faults: (name) => {
          if (name === point) throw new Error(`fault at ${name}`);
        },
      });
      const id = contextOf(library).newId();
      let message = '';
      await failing.writeOne(library.db, contextOf(library), 'Book', { kind: 'create', id, values: { title: point } }).catch((error: unknown) => {
        message = error instanceof Error ? error.message : '';
      });
      expect(message).to.equal(`fault at ${point}`);
      expect(await sideCounts(library.db, id), point).to.deep.equal({ history: 0, audit: 0, event: 0, search: 0 });
    }
    const { record } = await create({ title: 'After the faults' });
    const { record: next } = await create({ title: 'And next' });
    const number = (value: unknown): number => Number(String(value).slice(3));
    expect(number(next?.['number'])).to.equal(number(record?.['number']) + 1);
  });

  it('notes how deep in a chain of rules a write stands', async () => {
    const cause = {
      kind: 'rule',
      rule: 'r',
      ruleVersion: 1,
      run: 'x',
      chain: [
        { rule: 'a', record: 'b' },
        { rule: 'c', record: 'd' },
      ],
    } as const;
    const { id } = await create({ title: 'Deep' }, { cause });
    const [event] = await rows(library.db, sql`select depth, cause from credenza.event where record_id = ${id}::uuid`);
    expect(event?.['depth']).to.equal(2);
    expect(event?.['cause']).to.deep.equal(cause);
  });

  it('gives a record that is no record, or no object, as not found', async () => {
    const write = (object: string, id: string) => engine.writeOne(library.db, contextOf(library), object, { kind: 'update', id, version: 1, values: {} });
    expect((await refused(write('Book', 'nonsense'))).code).to.equal('not_found');
    expect((await refused(write('Book', '01900000-0000-7000-8000-0000000000ff'))).code).to.equal('not_found');
    expect((await refused(write('Nothing', '01900000-0000-7000-8000-0000000000ff'))).code).to.equal('not_found');
  });
});
