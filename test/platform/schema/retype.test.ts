import { expect } from 'chai';
import { systemClock } from '../../../src/platform/clock.ts';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { beat, leave } from '../../../src/platform/schema/processes.sql.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import type { SchemaStep } from '../../../src/platform/schema/types.ts';
import { ident, platformTable, rows, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { objectFile, setOf } from './builders.ts';
import { makeWorld, refusal, triggersLeft, type World } from './world.ts';

const set = (field: Partial<FieldSchema> & Pick<FieldSchema, 'type'>, more: Partial<ReturnType<typeof objectFile>> = {}): MetadataSet =>
  setOf({ Thing: objectFile('Thing', { name: { type: 'string', 'x-id': 'thingname001' }, what: { 'x-id': 'thingwhat001', ...field } }, more) });

describe('change of type', () => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
  });
  afterEach(() => world.drop());

  async function apply(wanted: MetadataSet): Promise<readonly SchemaStep[]> {
    const { steps } = await world.store.apply(wanted, 'test');
    expect((await world.store.plan(wanted)).steps).to.deep.equal([]);
    const { db } = world.database;
    expect(await rows(db, sql`select 1 from ${ident(schemaOf(db), 'schema_fill')}`)).to.deep.equal([]);
    expect(await triggersLeft(db)).to.deep.equal([]);
    return steps;
  }

  async function filled(field: Partial<FieldSchema> & Pick<FieldSchema, 'type'>, values: readonly unknown[]): Promise<readonly string[]> {
    await apply(set(field));
    const ids: string[] = [];
    for (const value of values) ids.push(await world.insert('Thing', { name: 'n', what: value }));
    return ids;
  }

  const conversions: readonly (readonly [
    string,
    Partial<FieldSchema> & Pick<FieldSchema, 'type'>,
    readonly unknown[],
    Partial<FieldSchema> & Pick<FieldSchema, 'type'>,
    readonly unknown[],
  ])[] = [
    ['text to whole number', { type: 'string' }, ['12', ' 7', '1,200', null], { type: 'integer' }, [12, 7, 1200, null]],
    ['number to text', { type: 'number' }, ['12.5', '-3', null], { type: 'string' }, ['12.5', '-3', null]],
    ['text to yes or no', { type: 'string' }, ['yes', 'FALSE', null], { type: 'boolean' }, [true, false, null]],
    ['yes or no to text', { type: 'boolean' }, [true, false, null], { type: 'string' }, ['true', 'false', null]],
    ['text to day', { type: 'string' }, ['2026-03-02', '3/4/2026'], { type: 'string', format: 'date' }, ['2026-03-02', '2026-03-04']],
    [
      'day to instant, at midnight of the plan',
      { type: 'string', format: 'date' },
      ['2026-03-02'],
      { type: 'string', format: 'date-time' },
      ['2026-03-02T05:00:00.000Z'],
    ],
    ['instant to day of the plan', { type: 'string', format: 'date-time' }, ['2026-03-02T03:00:00Z'], { type: 'string', format: 'date' }, ['2026-03-01']],
    ['text to e-mail in lower case', { type: 'string' }, ['Ann@Example.org', null], { type: 'string', format: 'email' }, ['ann@example.org', null]],
    ['text to list', { type: 'string' }, ['a;b', 'c'], { type: 'array', items: { type: 'string' } }, [['a', 'b'], ['c']]],
    ['list to text', { type: 'array', items: { type: 'string' } }, [['a', 'b']], { type: 'string' }, ['a;b']],
    ['text to long text', { type: 'string' }, ['a', null], { type: 'string', format: 'multiline' }, ['a', null]],
    ['address to long text', { type: 'object', format: 'address' }, [{ city: 'Ware' }], { type: 'string', format: 'multiline' }, ['{"city":"Ware"}']],
  ];
  for (const [what, from, values, to, expected] of conversions) {
    it(`carries values over: ${what}`, async () => {
      await filled(from, values);
      const steps = await apply(set(to));
      expect(steps.some((step) => step.class === 'backfill')).to.equal(true);
      expect(await world.values('Thing', 'what')).to.deep.equal(expected);
    });
  }

  it('carries references over to references of several objects and back', async () => {
    const one: FieldSchema = { type: 'string', format: 'uuid', 'x-id': 'thingwhat001', 'x-ref': { to: 'Thing' } };
    const several: FieldSchema = { ...one, 'x-ref': { to: ['Thing', 'User'] } };
    const [first] = await filled(one, [null]);
    await world.insert('Thing', { name: 'n', what: first });
    await apply(set(several));
    expect(await world.values('Thing', 'what')).to.deep.equal([null, { object: 'Thing', id: first }]);
    await apply(set(one));
    expect(await world.values('Thing', 'what')).to.deep.equal([null, first]);
  });

  it('only changes metadata where the values are written alike', async () => {
    await filled({ type: 'string' }, ['ann@example.org', null]);
    expect((await apply(set({ type: 'string', format: 'email' }))).map((step) => step.class)).to.deep.equal(['metadata']);
  });

  it('only changes metadata where a number is a whole number already', async () => {
    await filled({ type: 'number' }, ['12', '3.0', null]);
    expect((await apply(set({ type: 'integer' }))).map((step) => step.class)).to.deep.equal(['metadata']);
    expect(await world.values('Thing', 'what')).to.deep.equal([12, 3, null]);
    await apply(set({ type: 'number' }));
    await world.insert('Thing', { name: 'n', what: '2.5' });
    expect((await refusal(world.store.apply(set({ type: 'integer' }), 'test'))).message).to.contain('the values of 1 record do not convert');
  });

  it('says which values do not convert before anything is changed', async () => {
    const ids = await filled({ type: 'string' }, ['12', 'a dozen', 'twelve']);
    const before = await world.store.load();
    const error = await refusal(world.store.apply(set({ type: 'integer' }), 'test'));
    expect(error.code).to.equal('schema_refused');
    expect(error.message).to.equal('Thing.what cannot become the type integer: the values of 2 records do not convert.');
    expect(error.errors[0]?.detail).to.contain(ids[1]).and.to.contain(ids[2]).and.not.to.contain('dozen');
    expect((await world.store.load()).version).to.equal(before.version);
    await apply(set({ type: 'string' }));
    await world.update('Thing', ids[1] ?? '', { what: '12' });
    await world.update('Thing', ids[2] ?? '', { what: '12' });
    await apply(set({ type: 'integer' }));
    expect(await world.values('Thing', 'what')).to.deep.equal([12, 12, 12]);
  });

  it('keeps the old values: back in the old type they are as they were, but for those written since', async () => {
    const ids = await filled({ type: 'string' }, ['007', ' 12', '5', null]);
    await apply(set({ type: 'integer' }));
    await world.update('Thing', ids[2] ?? '', { what: 6 });
    await world.update('Thing', ids[3] ?? '', { what: 1 });
    await apply(set({ type: 'string' }));
    expect(await world.values('Thing', 'what')).to.deep.equal(['007', ' 12', '6', '1']);
  });

  it('goes back to a type that the new values do not convert to, as long as the old ones are there', async () => {
    const [first] = await filled({ type: 'object', format: 'address' }, [{ city: 'Ware' }, null]);
    await apply(set({ type: 'string' }));
    expect(await world.values('Thing', 'what')).to.deep.equal(['{"city":"Ware"}', null]);
    await apply(set({ type: 'object', format: 'address' }));
    expect(await world.values('Thing', 'what')).to.deep.equal([{ city: 'Ware' }, null]);
    await apply(set({ type: 'string' }));
    await world.update('Thing', first ?? '', { what: 'Ware' });
    const error = await refusal(world.store.apply(set({ type: 'object', format: 'address' }), 'test'));
    expect(error.message).to.contain('the values of 1 record do not convert');
  });

  it('takes index, uniqueness, requirement and sort key along to the new column', async () => {
    const more = { required: ['what'], 'x-unique': [['name', 'what']] };
    await apply(set({ type: 'string', 'x-index': true, 'x-unique': true }, more));
    await world.insert('Thing', { name: 'n', what: '10' });
    await world.insert('Thing', { name: 'n', what: '9' });
    await apply(set({ type: 'integer', 'x-index': true, 'x-unique': true }, more));
    const model = await world.store.load();
    const thing = model.objects.get('Thing');
    const column = thing?.fields.get('what')?.column ?? '';
    const indexes = await rows(
      world.database.db,
      sql`select indexdef from pg_indexes where tablename = ${thing?.table} and indexdef like ${`%${column}%`} order by 1`,
    );
    expect(indexes.map((row) => String(row['indexdef']).replace(/^.*USING btree /, ''))).to.have.members([
      `(${column}, id)`,
      `(${column}) WHERE (deleted_at IS NULL)`,
      `(${thing?.fields.get('name')?.column ?? ''}, ${column}) WHERE (deleted_at IS NULL)`,
    ]);
    const checks = await rows(
      world.database.db,
      sql`select convalidated from pg_constraint where contype = 'c' and conrelid = ${`${model.schema}.${thing?.table ?? ''}`}::regclass`,
    );
    expect(checks).to.deep.equal([{ convalidated: true }]);
    await apply(set({ type: 'string', 'x-index': true }));
    expect(
      await rows(
        world.database.db,
        sql`select ${ident(`${(await world.store.load()).objects.get('Thing')?.fields.get('what')?.sortColumn ?? ''}`)} as s from ${ident(model.schema, thing?.table ?? '')} order by id`,
      ),
    ).to.deep.equal([{ s: '000000000010' }, { s: '000000000009' }]);
  });

  it('gives up a change of type that was begun when another one is wanted', async () => {
    await filled({ type: 'string' }, ['1', '2']);
    const died = new Error('killed');
    const dying = makeModelStore({
      db: world.database.db,
      clock: systemClock,
      extensions: {},
      faults: (point) => {
        if (point === 'schema.fill_batch') throw died;
      },
    });
    await dying.apply(set({ type: 'integer' }), 'test').catch((error: unknown) => expect(error).to.equal(died));
    const plan = await world.store.plan(set({ type: 'boolean' }));
    expect(plan.steps.map((step) => step.description)).to.include('Thing.what cannot become the type boolean: the values of 1 record do not convert.');
    const steps = await apply(set({ type: 'string', format: 'multiline' }));
    expect(steps.map((step) => step.description)[0]).to.equal('Give up the change of type of Thing.what');
    expect(await world.values('Thing', 'what')).to.deep.equal(['1', '2']);
  });

  const keyed: Readonly<Record<string, Partial<FieldSchema> & Pick<FieldSchema, 'type'>>> = {
    'an index': { type: 'integer', 'x-index': true },
    'a unique key': { type: 'integer', 'x-unique': true },
    'a reference': { type: 'string', format: 'uuid', 'x-ref': { to: 'Thing' } },
  };
  for (const [key, to] of Object.entries(keyed))
    it(`gives up a change of type whose new column had ${key} already`, async () => {
      await filled({ type: 'string' }, [null]);
      const died = new Error('killed');
      const dying = makeModelStore({
        db: world.database.db,
        clock: systemClock,
        extensions: {},
        faults: (point) => {
          if (point === 'schema.before_version') throw died;
        },
      });
      expect(await dying.apply(set(to), 'test').catch((error: unknown) => error)).to.equal(died);
      const steps = await apply(set({ type: 'string' }));
      expect(steps.map((step) => step.description)[0]).to.equal('Give up the change of type of Thing.what');
      expect(await world.values('Thing', 'what')).to.deep.equal([null]);
    });

  it('leaves little to be carried over while writers wait, however much was written while the change got ready', async () => {
    const ids = await filled(
      { type: 'string' },
      Array.from({ length: 1_500 }, (_, index) => String(index)),
    );
    const { db } = world.database;
    const thing = (await world.store.load()).objects.get('Thing');
    const column = ident(thing?.fields.get('what')?.column ?? '');
    const changing = openTestPool(world.database.url);
    let isLocked = false;
    let carried = 0;
    changing.on('query-response', (response: unknown, { sql: text }: { readonly sql: string }) => {
      isLocked ||= text.startsWith('lock table');
      if (!isLocked || !text.includes('schema_dirty') || !text.startsWith('delete') || typeof response !== 'object' || response === null) return;
      carried += Number(Reflect.get(response, 'rowCount'));
    });
    try {
      // A process that lives and is not ready: the change waits for it, with all values carried over.
      await beat(db, 'slow', 1);
      const change = makeModelStore({ db: changing, clock: systemClock, extensions: {} }).apply(set({ type: 'integer' }), 'test');
      const isCopied = async (): Promise<boolean> =>
        (await rows(db, sql`select 1 from ${platformTable(db, 'schema_step')} where state = 'done' and description like 'Carry the values%'`)).length > 0;
      while (!(await isCopied())) expect((await world.store.load()).version).to.equal(1);
      await run(db, sql`update ${platformTable(db, thing?.table ?? '')} set ${column} = ${column} || '0'`);
      await leave(db, 'slow');
      expect((await change).version).to.equal(2);
      expect(await world.values('Thing', 'what')).to.deep.equal(ids.map((_, index) => index * 10));
      expect(carried).to.be.at.most(200);
    } finally {
      await changing.destroy();
    }
  });
});
