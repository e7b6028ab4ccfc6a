import { expect } from 'chai';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import { onSide, sideOf, sideTables, tableOfColumn } from '../../../src/platform/model/side-tables.ts';
import { reportDrift } from '../../../src/platform/schema/drift.ts';
import { tableSpecs } from '../../../src/platform/schema/table-spec.ts';
import type { SchemaStep } from '../../../src/platform/schema/types.ts';
import { ident, platformTable, rows, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { objectFile, setOf } from './builders.ts';
import { changed, makeWorld, refusal, triggersLeft, withField, type World } from './world.ts';

type Field = Partial<FieldSchema> & Pick<FieldSchema, 'type'>;

/** So many that what comes after them stands in a side table. */
const FULL = Object.fromEntries(
  Array.from({ length: 309 }, (_, index) => [`flag${String(index)}`, { type: 'boolean', 'x-id': `flag${String(index).padStart(8, '0')}` } as const]),
);

const set = (field: Field, more: Readonly<Record<string, FieldSchema>> = {}): MetadataSet =>
  setOf({ Thing: objectFile('Thing', { name: { type: 'string', 'x-id': 'thingname001' }, ...FULL, what: { 'x-id': 'thingwhat001', ...field }, ...more }) });

describe('side tables of wide objects', function () {
  this.timeout(120_000);
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
  });
  afterEach(() => world.drop());

  async function apply(wanted: MetadataSet): Promise<readonly SchemaStep[]> {
    const { steps } = await world.store.apply(wanted, 'test');
    expect((await world.store.plan(wanted)).steps).to.deep.equal([]);
    expect((await reportDrift(world.database.db)).drift).to.deep.equal([]);
    return steps;
  }

  async function columnOf(name: string): Promise<string> {
    return (await world.store.load()).objects.get('Thing')?.fields.get(name)?.column ?? '';
  }

  it('take fields beyond what the table holds, as many as are needed, and no more after a growth', async () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`note${String(index)}`, { type: 'integer' } as const]));
    await apply(setOf({ Thing: objectFile('Thing', { name: { type: 'string' }, ...many }) }));
    const thing = (await world.store.load()).objects.get('Thing');
    if (thing === undefined) throw new Error('no Thing');
    expect(sideTables(thing)).to.deep.equal([`${thing.table}$1`, `${thing.table}$2`, `${thing.table}$3`]);
    const sides = [...thing.fields.values()].filter((field) => field.column !== null).map((field) => sideOf(field.column ?? ''));
    expect([0, 1, 2, 3].map((side) => sides.filter((found) => found === side).length)).to.deep.equal([318, 329, 329, 33]);
    await apply(
      setOf({ Thing: objectFile('Thing', { name: { type: 'string' }, ...many, last: { type: 'string' }, code: { type: 'string', 'x-unique': true } }) }),
    );
    const model = await world.store.load();
    expect(['last', 'code'].map((name) => sideOf(model.objects.get('Thing')?.fields.get(name)?.column ?? ''))).to.deep.equal([3, 0]);
  });

  it("take indexed fields and those of formulas too, once the object's own table is full", async () => {
    const half = Array.from({ length: 250 }, (_, index) => index);
    const answers = Object.fromEntries(half.map((index) => [`answer${String(index)}`, { type: 'integer' } as const]));
    const sums = Object.fromEntries(half.map((index) => [`sum${String(index)}`, { type: 'integer', 'x-formula': `answer${String(index)} + 1` } as const]));
    const codes = Object.fromEntries(half.map((index) => [`code${String(index)}`, { type: 'integer', 'x-index': true } as const]));
    await apply(setOf({ Thing: objectFile('Thing', { name: { type: 'string' }, ...answers, ...sums, ...codes }) }));
    const fields = [...((await world.store.load()).objects.get('Thing')?.fields.values() ?? [])].filter((field) => field.column !== null);
    expect([0, 1].map((side) => fields.filter((field) => sideOf(field.column ?? '') === side).length)).to.deep.equal([318, 191]);
  });

  it('have names that PostgreSQL does not cut, the tenth and those after it too', () => {
    const long = 'AnswerToTheQuestionnaireOfTheYear';
    const recorded = setOf({
      [long]: objectFile(long, { name: { type: 'string', 'x-id': 'thingname001' } }, { 'x-object': { id: 'thing0000001', plural: 'p', name: '{name}' } }),
    });
    const names = planPhysicalNames(recorded, new Map());
    // Columns of hidden fields fill the object's own table and ten side tables.
    const hidden = Array.from({ length: 11 }, (_, side) =>
      Array.from({ length: 329 }, (_, index) => {
        const id = `hidden${String(side).padStart(2, '0')}${String(index).padStart(4, '0')}`;
        const stored = { physical: onSide(id, side), sortPhysical: null, shape: 'integer', valueKind: 'integer' };
        return [id, { ...stored, id, kind: 'field', objectId: 'thing0000001', name: id, hiddenAt: '2027-01-01T00:00:00.000Z', next: null }] as const;
      }),
    ).flat();
    const file = recorded.objects.get(long);
    if (file === undefined) throw new Error('There is no such object.');
    const answer = { type: 'string', 'x-id': 'answer000001', 'x-index': true } as const;
    const wanted = setOf({ [long]: { ...file, properties: { ...file.properties, [`${long}InAllItsParts`]: answer } } });
    const specs = tableSpecs(wanted, planPhysicalNames(wanted, new Map([...names, ...hidden])), 'credenza');
    expect(specs.map(({ side }) => side)).to.deep.equal([0, 11]);
    const all = specs.flatMap(({ table, indexes, columns }) => [table, ...indexes.map(({ name }) => name), ...columns.map(({ name }) => name)]);
    expect(Math.max(...all.map((name) => Buffer.byteLength(name)))).to.be.at.most(63);
  });

  it('refuse more values than PostgreSQL answers of a row, those of formulas among them', async () => {
    const sums = Object.fromEntries(Array.from({ length: 1_631 }, (_, index) => [`sum${String(index)}`, { type: 'integer', 'x-formula': '1 + 1' } as const]));
    const error = await refusal(world.store.apply(setOf({ Thing: objectFile('Thing', { name: { type: 'string' }, ...sums }) }), 'test'));
    expect(error.message).to.equal('Thing would be read with 1641 values, those of formulas among them; PostgreSQL answers 1640.');
  });

  it('are made, and their columns added, renamed, hidden, shown again and dropped, with their values', async () => {
    await apply(setOf({ Thing: objectFile('Thing', { name: { type: 'string', 'x-id': 'thingname001' }, ...FULL }) }));
    await world.insert('Thing', { name: 'n' });
    const steps = await apply(set({ type: 'integer' }));
    expect(steps.some((step) => step.description === 'Create side table 1 of Thing')).to.equal(true);
    await world.insert('Thing', { name: 'm', what: 7 });
    expect(await world.values('Thing', 'what')).to.deep.equal([null, 7]);
    await apply(
      changed(set({ type: 'integer' }), 'Thing', (file) => {
        const { what, ...rest } = file.properties;
        return { ...file, properties: { ...rest, ...(what === undefined ? {} : { amount: what }) } };
      }),
    );
    expect(await world.values('Thing', 'amount')).to.deep.equal([null, 7]);
    const hidden = setOf({ Thing: objectFile('Thing', { name: { type: 'string', 'x-id': 'thingname001' }, ...FULL }) });
    await apply(hidden);
    await apply(set({ type: 'integer' }));
    expect(await world.values('Thing', 'what')).to.deep.equal([null, 7]);
    const more = { type: 'string', 'x-id': 'thingmore001' } as const;
    await apply(withField(set({ type: 'integer' }), 'Thing', 'more', more));
    await apply(withField(set({ type: 'integer' }), 'Thing', 'more', { ...more, 'x-index': true }));
    const found = await rows(world.database.db, sql`select indexdef from pg_indexes where tablename like ${'thing%$1'} and indexdef like ${'%more%'}`);
    expect(found, 'value and sort key are indexed where the field stands').to.have.length(2);
  });

  const conversions: readonly (readonly [string, Field, readonly unknown[], Field, readonly unknown[]])[] = [
    ['text to whole number', { type: 'string' }, ['12', ' 7', null], { type: 'integer' }, [12, 7, null]],
    ['number to text', { type: 'number' }, ['12.5', null], { type: 'string' }, ['12.5', null]],
    ['text to list', { type: 'string' }, ['a;b', 'c'], { type: 'array', items: { type: 'string' } }, [['a', 'b'], ['c']]],
  ];
  for (const [what, from, values, to, expected] of conversions) {
    it(`keep a field whose type changes: ${what}, and back`, async () => {
      await apply(set(from));
      const ids: string[] = [];
      for (const value of values) ids.push(await world.insert('Thing', value === null ? { name: 'n' } : { name: 'n', what: value }));
      const steps = await apply(set(to));
      expect(steps.some((step) => step.class === 'backfill')).to.equal(true);
      expect(await world.values('Thing', 'what')).to.deep.equal(expected);
      expect(sideOf(await columnOf('what'))).to.equal(1);
      await apply(set(from));
      expect(await world.values('Thing', 'what')).to.deep.equal(values);
      const { db } = world.database;
      expect(await rows(db, sql`select 1 from ${ident(schemaOf(db), 'schema_fill')}`)).to.deep.equal([]);
      expect(await triggersLeft(db)).to.deep.equal([]);
    });
  }

  it('change the type of a field only when a write is over that began by the old one', async () => {
    await apply(set({ type: 'string' }));
    const id = await world.insert('Thing', { name: 'n', what: '1' });
    const { db } = world.database;
    const [own, column] = [(await world.store.load()).objects.get('Thing')?.table ?? '', await columnOf('what')];
    const pool = openTestPool(world.database.url);
    // As the record engine writes: the object's own row by the version in force, then what stands aside.
    const writer = await pool.transaction();
    try {
      await run(writer, sql`update ${platformTable(pool, own)} set version = version + 1 where id = ${id}::uuid`);
      const change = world.store.apply(set({ type: 'integer' }), 'test');
      const isWaited = async (): Promise<boolean> =>
        (await rows(pool, sql`select 1 from pg_locks where relation = ${`${schemaOf(db)}.${own}`}::regclass and not granted`)).length > 0;
      const version = async (): Promise<number> =>
        Number((await rows(pool, sql`select max(version) as version from ${platformTable(pool, 'metadata_version')}`))[0]?.['version']);
      while (!(await isWaited())) expect(await version(), 'the new type is in force while a write by the old one goes on').to.equal(1);
      await run(writer, sql`update ${platformTable(pool, tableOfColumn(own, column))} set ${ident(column)} = '7' where id = ${id}::uuid`);
      await writer.commit();
      expect((await change).version).to.equal(2);
      expect(await world.values('Thing', 'what')).to.deep.equal([7]);
    } finally {
      if (!writer.isCompleted()) await writer.rollback();
      await pool.destroy();
    }
  });

  it('refuse what their fields cannot become, in words, and change nothing', async () => {
    await apply(set({ type: 'string' }));
    const before = (await world.store.load()).version;
    for (const wanted of [
      set({ type: 'string', 'x-unique': true }),
      set({ type: 'string', 'x-search': true }),
      changed(set({ type: 'string' }), 'Thing', (file) => ({ ...file, required: ['what'] })),
      changed(set({ type: 'string' }), 'Thing', (file) => ({ ...file, 'x-object': { ...file['x-object'], name: '{name} {what}' } })),
    ]) {
      const error = await refusal(world.store.apply(wanted, 'test'));
      expect(error.message).to.contain('Thing.what stands in a side table');
      expect(error.errors[0]?.fix).to.contain('Add another field');
    }
    expect((await world.store.load()).version).to.equal(before);
  });

  it('are no obstacle to what is said of fields of the same name in other objects', async () => {
    await apply(set({ type: 'string' }));
    const beds = {
      name: { type: 'string' },
      what: { type: 'string' },
      garden: { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'beds' } },
    } as const;
    const most: FieldSchema = { type: 'string', 'x-rollup': { relation: 'beds', op: 'last', value: 'what' } };
    const rules = [{ name: 'same', label: 'The same', keys: ['what'], action: 'report' }] as const;
    const matching = new Map([['beds', { name: 'beds', label: 'Beds', object: 'Bed', rules }]]);
    await apply({
      ...set({ type: 'string' }),
      objects: new Map([
        ...set({ type: 'string' }).objects,
        ['Garden', objectFile('Garden', { name: { type: 'string' }, most })],
        ['Bed', objectFile('Bed', beds)],
      ]),
      matching,
    });
    expect(sideOf(await columnOf('what'))).to.equal(1);
    const error = await refusal(
      world.store.apply({ ...set({ type: 'string' }), matching: new Map([['beds', { name: 'beds', label: 'Beds', object: 'Thing', rules }]]) }, 'test'),
    );
    expect(error.message).to.contain('Thing.what stands in a side table');
  });

  for (const [how, before] of [
    ['with its fields', []],
    ['after its fields', [setOf({ Thing: objectFile('Thing', { name: { type: 'string', 'x-id': 'thingname001' }, ...FULL }) })]],
  ] as const)
    it(`are gone with their object once it is dropped, ${how}`, async () => {
      const clock = makeVirtualClock('2027-01-01T00:00:00.000Z');
      await world.drop();
      world = await makeWorld({ clock });
      await apply(set({ type: 'string' }));
      await world.insert('Thing', { name: 'n', what: 'x' });
      for (const wanted of [...before, setOf({})]) {
        await apply(wanted);
        clock.advanceTo(new Date(clock.nowMs() + 91 * 86_400_000).toISOString());
        await world.store.apply(wanted, 'test', { allowDestructive: true });
      }
      const { db } = world.database;
      expect(await rows(db, sql`select tablename from pg_tables where schemaname = ${schemaOf(db)} and tablename like 'thing%'`)).to.deep.equal([]);
    });
});
