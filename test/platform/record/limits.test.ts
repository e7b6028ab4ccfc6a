import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { inTransaction } from '../../../src/platform/db.ts';
import { isAppError, type AppError } from '../../../src/platform/errors.ts';
import type { FieldSchema } from '../../../src/platform/metadata/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { objectFile, setOf } from '../schema/builders.ts';
import { callOf, makeGardens, type Gardens } from './fixtures/gardens.ts';

const engine = makeRecordEngine();
const reader = makeReader();

const notes = (count: number, field: FieldSchema): Readonly<Record<string, FieldSchema>> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`note${String(index)}`, field]));
/** Random, so that it cannot be compressed; without digits, so that its sort key is as long. */
const text = (length: number): string =>
  randomBytes(length)
    .toString('base64')
    .replaceAll(/[^a-zA-Z]/g, 'x')
    .slice(0, length);
const filled = (count: number, length: number): Readonly<Record<string, string>> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`note${String(index)}`, text(length)]));

describe('what PostgreSQL cannot hold', function () {
  this.timeout(60_000);
  let gardens: Gardens | null = null;
  afterEach(async () => {
    await gardens?.drop();
    gardens = null;
  });

  async function made(fields: Readonly<Record<string, FieldSchema>>): Promise<Gardens> {
    gardens = await makeGardens(10, setOf({ Garden: objectFile('Garden', { name: { type: 'string' }, ...fields }) }));
    return gardens;
  }

  async function refused(work: Promise<unknown>): Promise<AppError> {
    const error: unknown = await work.catch((failure: unknown) => failure);
    if (!isAppError(error)) throw error;
    return error;
  }

  it('is not reached by texts of any length in every field of a wide object', async () => {
    const { db, model } = await made(notes(500, { type: 'string' }));
    const call = callOf(model);
    for (const length of [16, 20, 23, 24, 40]) {
      const values = filled(500, length);
      const { id } = await engine.writeOne(db, call, 'Garden', { kind: 'create', values: { name: 'Full', ...values } });
      expect(await reader.get(db, call, 'Garden', id)).to.include(values);
    }
  });

  it('is refused as the fault of one record, in words: more values than a row holds', async () => {
    const { db, model } = await made(notes(194, { type: 'string', 'x-unique': true }));
    const call = callOf(model);
    const error = await refused(engine.writeOne(db, call, 'Garden', { kind: 'create', values: { name: 'Full', ...filled(194, 23) } }));
    expect([error.code, error.message]).to.deep.equal(['validation_failed', 'This Garden has more values than one record can hold.']);
    const items = [{ name: 'One' }, { name: 'Full', ...filled(194, 23) }, { name: 'Two' }].map((values) => ({ kind: 'create', values }) as const);
    const outcomes = await inTransaction(db, (tx) => engine.write(tx, call, 'Garden', items, { mode: 'each' }));
    expect(outcomes.map(({ ok }) => ok)).to.deep.equal([true, false, true]);
  });

  it('is refused as the fault of one record, in words: a text longer than an index takes', async () => {
    const { db, model } = await made({ motto: { type: 'string', maxLength: 6_000, 'x-index': true } });
    const error = await refused(engine.writeOne(db, callOf(model), 'Garden', { kind: 'create', values: { name: 'Long', motto: text(6_000) } }));
    expect([error.code, error.message, error.errors[0]?.pointer]).to.deep.equal(['validation_failed', 'Motto is too long for its index.', '/motto']);
  });

  it('is not reached because a view is sorted by a long text', async () => {
    const fields: Readonly<Record<string, FieldSchema>> = {
      motto: { type: 'string', maxLength: 6_000 },
      story: { type: 'string', format: 'multiline' },
      code: { type: 'string' },
    };
    const views = new Map(Object.keys(fields).map((name) => [name, { name, label: name, object: 'Garden', columns: ['name'], sort: name }]));
    gardens = await makeGardens(10, setOf({ Garden: objectFile('Garden', { name: { type: 'string' }, ...fields }) }, { views }));
    const { db, model } = gardens;
    expect(Object.keys(fields).map((name) => model.objects.get('Garden')?.fields.get(name)?.ordered)).to.deep.equal([false, false, true]);
    const values = { motto: text(6_000), story: text(6_000), code: '1a'.repeat(127) };
    const { id } = await engine.writeOne(db, callOf(model), 'Garden', { kind: 'create', values: { name: 'Long', ...values } });
    expect(await reader.get(db, callOf(model), 'Garden', id)).to.include(values);
    const { data } = await reader.list(db, callOf(model), { object: 'Garden', sort: ['motto'] });
    expect(data).to.have.length(1);
  });

  it('is refused in words when an index is wanted that cannot hold the values', async () => {
    const { db, model, store } = await made({ motto: { type: 'string', maxLength: 6_000, 'x-id': 'gardenmotto1' } });
    await engine.writeOne(db, callOf(model), 'Garden', { kind: 'create', values: { name: 'Long', motto: text(6_000) } });
    const motto: FieldSchema = { type: 'string', maxLength: 6_000, 'x-id': 'gardenmotto1', 'x-index': true };
    const { set } = await store.recorded();
    const garden = set.objects.get('Garden');
    if (garden === undefined) throw new Error('There is no Garden.');
    const wanted = setOf({ Garden: { ...garden, properties: { ...garden.properties, motto } } });
    const error = await refused(store.apply(wanted, 'test'));
    expect(error.code).to.equal('schema_refused');
    expect(error.message).to.contain('Create the index on Garden.motto');
    expect((await store.load()).version).to.equal(1);
  });
});
