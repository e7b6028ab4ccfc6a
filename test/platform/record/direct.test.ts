import { expect } from 'chai';
import type { Knex } from 'knex';
import { inTransaction, sqlState } from '../../../src/platform/db.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { ident, rows, run, sql } from '../../../src/platform/sql.ts';
import { addPeople, contextOf, makeLibrary, sideCounts, SYSTEM, type Library } from './fixtures/library.ts';

const WRITERS = 24;

describe('record engine: a write by one statement', () => {
  let library: Library;
  const engine = makeRecordEngine();

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  const write = (object: string, item: WriteItem, db: Knex = library.db) => engine.writeOne(db, contextOf(library), object, item);
  const shelf = (name: string) => write('Shelf', { kind: 'create', values: { name } });

  /** Everything beside a record, without what differs from one record to the next. */
  const beside = async (id: string) => {
    const { db } = library;
    const name = (text: unknown): unknown => (typeof text === 'string' ? text.replaceAll(id, 'ID') : text);
    const history = await rows(
      db,
      sql`select object_id, version, kind, at, actor, cause, reason, changes from credenza.record_history where record_id = ${id}::uuid order by version`,
    );
    const audit = await rows(
      db,
      sql`select at, actor, action, object, record_version, request_id, detail from credenza.audit_entry where record_id = ${id}::uuid order by id`,
    );
    const events = await rows(
      db,
      sql`select object, record_ids, kind, at, before::text, after::text, changed, transition, cause, actor, depth from credenza.event where record_id = ${id}::uuid order by seq`,
    );
    const search = await rows(db, sql`select object, class, keys from credenza.search_entry where record_id = ${id}::uuid`);
    return { history, audit, events: events.map((event) => ({ ...event, before: name(event['before']), after: name(event['after']) })), search };
  };

  it('leaves exactly what a write in a transaction leaves, for every form of value', async () => {
    const values = { reader: 'Zoë Ñandú' };
    const { db } = library;
    const inside = await inTransaction(db, (tx) => write('Loan', { kind: 'create', values }, tx));
    const alone = await write('Loan', { kind: 'create', values });
    expect(alone.record).to.deep.equal({ ...inside.record, id: alone.id });
    expect(await beside(alone.id)).to.deep.equal(await beside(inside.id));
    for (const reader of ['Somebody else', null]) {
      const item = { kind: 'update', values: { reader } } as const;
      const version = Number((await makeReader().get(db, contextOf(library), 'Loan', alone.id))['version']);
      await inTransaction(db, (tx) => write('Loan', { ...item, id: inside.id, version }, tx));
      const { record } = await write('Loan', { ...item, id: alone.id, version });
      expect(record).to.deep.equal(await makeReader().get(db, contextOf(library), 'Loan', alone.id));
      expect(await beside(alone.id)).to.deep.equal(await beside(inside.id));
    }
    expect((await beside(alone.id)).search).to.deep.equal([]);
  });

  it('takes lists, addresses, money, days and instants as the other way does', async () => {
    const { id } = await write('Book', { kind: 'create', values: { title: 'Kinds' } });
    const values = {
      tags: ['a', 'b,"{}'],
      place: { city: "O'Fallon", postalCode: '63366' },
      price: '12.50',
      soldOn: '2027-01-01',
      readyAt: '2027-01-01T10:00:00Z',
      pages: 3,
    };
    const { record } = await write('Book', { kind: 'update', id, version: 1, values });
    expect(record).to.include({ price: '12.5', soldOn: '2027-01-01', readyAt: '2027-01-01T10:00:00.000Z', pages: 3, version: 2 });
    expect(record).to.deep.equal(await makeReader().get(library.db, contextOf(library), 'Book', id));
  });

  it('opens no transaction for it, but one for what names another record', async () => {
    const seen: string[] = [];
    const note = (query: { readonly sql: string }): void => void seen.push(query.sql);
    library.db.on('query', note);
    try {
      const { id } = await shelf('Quick');
      await write('Shelf', { kind: 'update', id, version: 1, values: { closed: false } });
      expect(seen).to.deep.equal([]);
      await write('Book', { kind: 'create', values: { title: 'On a shelf', shelf: id } });
      expect(seen[0]).to.equal('BEGIN;');
    } finally {
      library.db.removeListener('query', note);
    }
  });

  it('lets one of many writers of a version win and tells the others', async () => {
    const { id } = await shelf('Contended');
    const outcomes = await Promise.allSettled(
      Array.from({ length: WRITERS }, (_, at) => write('Shelf', { kind: 'update', id, version: 1, values: { name: `Contended ${String(at)}` } })),
    );
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).to.have.length(1);
    for (const outcome of outcomes) if (outcome.status === 'rejected') expect(isAppError(outcome.reason, 'conflict_version')).to.equal(true);
    expect(await sideCounts(library.db, id)).to.deep.equal({ history: 2, audit: 2, event: 2, search: 1 });
  });

  it('loses no write of those who give no version: what was overtaken is done under lock', async () => {
    const { id } = await shelf('Busy');
    const item = (at: number): WriteItem => ({ kind: 'update', id, values: { name: `Busy ${String(at)}` } });
    await Promise.all(Array.from({ length: WRITERS }, (_, at) => engine.writeOne(library.db, contextOf(library, { principal: SYSTEM }), 'Shelf', item(at))));
    const history = await rows(library.db, sql`select version from credenza.record_history where record_id = ${id}::uuid order by version`);
    expect(history.map((row) => row['version'])).to.deep.equal(Array.from({ length: WRITERS + 1 }, (_, at) => at + 1));
  });

  it('gives a key to one of those who want it at once, and leaves nothing of the others', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: WRITERS }, () => shelf('Wanted')));
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).to.have.length(1);
    for (const outcome of outcomes) if (outcome.status === 'rejected') expect(isAppError(outcome.reason, 'conflict_unique')).to.equal(true);
    const [counted] = await rows(library.db, sql`select count(*)::int as count from credenza.event where after ->> 'name' = 'Wanted'`);
    expect(counted?.['count']).to.equal(1);
  });

  for (const wants of ['the version that it read', 'no version'] as const)
    it(`is not done again when its answer fails after it was written, of whoever gives ${wants}`, async () => {
      const { db, model } = library;
      const table = model.objects.get('Book')?.table ?? '';
      const book = await write('Book', { kind: 'create', values: { title: `Lent, ${wants}` } });
      const { id } = await write('Loan', { kind: 'create', values: { reader: 'Anna', book: book.id } });
      const seen: string[] = [];
      const note = (query: { readonly sql: string }): void => void seen.push(query.sql);
      // What the answer reads of the book fails once, as a conflict between transactions does: whoever tries again succeeds.
      await run(db, sql`create sequence credenza.visits`);
      await run(
        db,
        sql`create function credenza.first_fails() returns boolean language plpgsql as $$
          begin if nextval('credenza.visits') = 1 then raise exception 'could not serialize access' using errcode = '40001'; end if; return true; end $$`,
      );
      await run(db, sql`alter table ${ident('credenza', table)} rename to kept`);
      await run(db, sql`create view ${ident('credenza', table)} as select * from credenza.kept where credenza.first_fails()`);
      db.on('query', note);
      try {
        const item = { kind: 'update', id, values: { reader: 'Bert' } } as const;
        const refused = await (
          wants === 'no version'
            ? engine.writeOne(db, contextOf(library, { principal: SYSTEM }), 'Loan', item)
            : engine.writeOne(db, contextOf(library), 'Loan', { ...item, version: 1 })
        ).then(
          () => null,
          (error: unknown) => error,
        );
        expect(sqlState(refused)).to.equal('40001');
        expect(seen.filter((text) => text.startsWith('BEGIN'))).to.deep.equal([]);
      } finally {
        db.removeListener('query', note);
        await run(db, sql`drop view ${ident('credenza', table)}`);
        await run(db, sql`alter table credenza.kept rename to ${ident(table)}`);
        await run(db, sql`drop function credenza.first_fails`);
        await run(db, sql`drop sequence credenza.visits`);
      }
      expect(await makeReader().get(db, contextOf(library), 'Loan', id)).to.include({ reader: 'Bert', lent: `Lent, ${wants}`, version: 2 });
      expect(await sideCounts(db, id)).to.deep.equal({ history: 2, audit: 2, event: 2, search: 1 });
    });
});
