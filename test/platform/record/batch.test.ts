import { expect } from 'chai';
import { performance } from 'node:perf_hooks';
import type { Knex } from 'knex';
import { inTransaction } from '../../../src/platform/db.ts';
import { ident, rows, sql } from '../../../src/platform/sql.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { WriteItem, WriteOptions } from '../../../src/platform/record/types.ts';
import { untilBlocked } from './fixtures/blocked.ts';
import { addPeople, contextOf, makeLibrary, SYSTEM, type Library } from './fixtures/library.ts';
import { pointers, refused } from './fixtures/refused.ts';

describe('record engine: batches and concurrency', () => {
  let library: Library;
  const engine = makeRecordEngine();

  before(async () => {
    library = await makeLibrary();
    await addPeople(library.db);
  });
  after(() => library.drop());

  const system = () => contextOf(library, { principal: SYSTEM });
  const write = (object: string, items: readonly WriteItem[], options?: WriteOptions) =>
    inTransaction(library.db, (tx) => engine.write(tx, system(), object, items, options));
  const count = async (object: string): Promise<number> => {
    const [row] = await rows(
      library.db,
      sql`select count(*)::int as n from ${ident('credenza', library.model.objects.get(object)?.table ?? '')} where deleted_at is null`,
    );
    return Number(row?.['n']);
  };
  const countStatements = async (db: Knex, work: () => Promise<unknown>): Promise<number> => {
    let statements = 0;
    const note = (): void => {
      statements += 1;
    };
    db.on('query', note);
    await work();
    db.removeListener('query', note);
    return statements;
  };

  it('writes 5,000 records in a handful of statements', async function () {
    const items = Array.from({ length: 5000 }, (_, index): WriteItem => ({
      kind: 'create',
      values: { title: `Bulk ${index}`, isbn: `B-${index}`, pages: index + 1, price: '9.99', tags: ['bulk'] },
    }));
    const started = performance.now();
    let outcomes: readonly unknown[] = [];
    const statements = await countStatements(library.db, async () => (outcomes = await write('Book', items, { mode: 'each', events: 'chunk' })));
    const tookMs = Math.round(performance.now() - started);
    process.stdout.write(`      5,000 creates: ${tookMs} ms, ${statements} statements\n`);
    expect(outcomes).to.have.length(5000);
    expect(outcomes.every((outcome) => typeof outcome === 'object' && outcome !== null && 'ok' in outcome && outcome.ok === true)).to.equal(true);
    expect(await count('Book')).to.equal(5000);
    expect(statements).to.be.at.most(12);
    const [event] = await rows(
      library.db,
      sql`select record_id, cardinality(record_ids) as n, after, kind from credenza.event where record_ids is not null order by seq desc limit 1`,
    );
    expect(event).to.deep.equal({ record_id: null, n: 5000, after: null, kind: 'created' });
    const [numbers] = await rows(library.db, sql`select count(distinct record_id)::int as n from credenza.record_history where kind = 'created'`);
    expect(numbers?.['n']).to.equal(5000);
    const [row] = await rows(
      library.db,
      sql`select value from credenza.sequence_counter where field_id = ${library.model.objects.get('Book')?.fields.get('number')?.id ?? ''}`,
    );
    expect(row?.['value']).to.equal('5000');
  });

  it('writes one record in few statements', async () => {
    const creating = await countStatements(library.db, () =>
      engine.writeOne(library.db, contextOf(library), 'Loan', { kind: 'create', values: { reader: 'r' } }),
    );
    expect(creating).to.be.at.most(4);
    const [book] = await write('Book', [{ kind: 'create', values: { title: 'Few' } }]);
    const id = book?.ok === true ? book.id : '';
    const updating = await countStatements(library.db, () =>
      engine.writeOne(library.db, contextOf(library), 'Book', { kind: 'update', id, version: 1, values: { pages: 4 } }),
    );
    expect(updating).to.be.at.most(5);
  });

  it('fails as a whole when atomic, with every finding at its item', async () => {
    const before = await count('Shelf');
    const error = await refused(
      write('Shelf', [
        { kind: 'create', values: { name: 'Fine' } },
        { kind: 'create', values: {} },
        { kind: 'create', values: { name: 'Odd', shade: 1 } },
      ]),
    );
    expect(pointers(error)).to.deep.equal(['/1/name', '/2/shade']);
    expect(await count('Shelf')).to.equal(before);
  });

  it('writes what it can when each item stands for itself', async () => {
    await write('Shelf', [{ kind: 'create', values: { name: 'Taken' } }]);
    const outcomes = await write(
      'Shelf',
      [
        { kind: 'create', values: { name: 'Each one' } },
        { kind: 'create', values: { name: 'Taken' } },
        { kind: 'create', values: {} },
        { kind: 'create', values: { name: 'Twin' } },
        { kind: 'create', values: { name: 'Twin' } },
        { kind: 'update', id: '01900000-0000-7000-8000-0000000000ff', values: { name: 'x' } },
      ],
      { mode: 'each' },
    );
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : `${outcome.index} ${outcome.code}`))).to.deep.equal([
      'ok',
      '1 conflict_unique',
      '2 validation_failed',
      'ok',
      '4 conflict_unique',
      '5 not_found',
    ]);
    const failed = outcomes[2];
    expect(failed?.ok === false && failed.errors.map((entry) => entry.pointer)).to.deep.equal(['/name']);
  });

  it('finds the culprit when another transaction takes a key meanwhile', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let reached: () => void = () => undefined;
    const inserted = new Promise<void>((resolve) => (reached = resolve));
    const other = inTransaction(library.db, async (tx) => {
      await engine.write(tx, system(), 'Shelf', [{ kind: 'create', values: { name: 'Late 3' } }]);
      reached();
      await held;
    });
    await inserted;
    const items = Array.from({ length: 7 }, (_, index): WriteItem => ({ kind: 'create', values: { name: `Late ${index}` } }));
    const writing = write('Shelf', items, { mode: 'each' });
    await untilBlocked(library.db);
    release();
    await other;
    expect((await writing).map((outcome) => (outcome.ok ? 'ok' : `${outcome.index} ${outcome.code}`))).to.deep.equal([
      'ok',
      'ok',
      'ok',
      '3 conflict_unique',
      'ok',
      'ok',
      'ok',
    ]);
  });

  it('refuses a record that a batch names twice', async () => {
    const [shelf] = await write('Shelf', [{ kind: 'create', values: { name: 'Once' } }]);
    const id = shelf?.ok === true ? shelf.id : '';
    const error = await refused(
      write('Shelf', [
        { kind: 'update', id, values: { name: 'a' } },
        { kind: 'update', id, values: { name: 'b' } },
      ]),
    );
    expect(error.code).to.equal('bad_request');
  });

  it('lets one of two writers on the same version win', async () => {
    const [shelf] = await write('Shelf', [{ kind: 'create', values: { name: 'Contended' } }]);
    const id = shelf?.ok === true ? shelf.id : '';
    const rename = (name: string) => engine.writeOne(library.db, contextOf(library), 'Shelf', { kind: 'update', id, version: 1, values: { name } });
    const outcomes = await Promise.allSettled([rename('One'), rename('Two'), rename('Three')]);
    const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(lost).to.have.length(2);
    for (const error of lost) expect(error).to.include({ code: 'conflict_version' });
    const [history] = await rows(library.db, sql`select count(*)::int as n from credenza.record_history where record_id = ${id}::uuid`);
    expect(history?.['n']).to.equal(2);
  });

  it('lets one of several simultaneous creates have a key', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 4 }, () => engine.writeOne(library.db, contextOf(library), 'Shelf', { kind: 'create', values: { name: 'Wanted by all' } })),
    );
    const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(lost).to.have.length(3);
    for (const error of lost) expect(error).to.include({ code: 'conflict_unique' });
  });

  it('updates many records of different shapes in one statement', async () => {
    const made = await write('Shelf', [
      { kind: 'create', values: { name: 'Many 1' } },
      { kind: 'create', values: { name: 'Many 2' } },
      { kind: 'create', values: { name: 'Many 3', closed: true } },
    ]);
    const ids = made.flatMap((outcome) => (outcome.ok ? [outcome.id] : []));
    const outcomes = await write('Shelf', [
      { kind: 'update', id: ids[0] ?? '', values: { name: 'Many one' } },
      { kind: 'update', id: ids[1] ?? '', values: { closed: true } },
      { kind: 'update', id: ids[2] ?? '', values: { closed: true } },
    ]);
    expect(outcomes.map((outcome) => outcome.ok && outcome.changed)).to.deep.equal([true, true, false]);
    const [row] = await rows(library.db, sql`select count(*)::int as n from credenza.event where record_id = any(${ids}::uuid[]) and kind = 'updated'`);
    expect(row?.['n']).to.equal(2);
  });
});
