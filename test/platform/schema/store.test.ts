import { expect } from 'chai';
import fc from 'fast-check';
import { systemClock } from '../../../src/platform/clock.ts';
import { isAppError, type AppError } from '../../../src/platform/errors.ts';
import { uuidV7 } from '../../../src/platform/ids.ts';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { makeModelStore, type ModelStore } from '../../../src/platform/schema/store.ts';
import { ident, joinSql, platformTable, rows, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, openTestPool, type TestDatabase } from '../../support/database.ts';
import { objectFile, setOf } from './builders.ts';

const base = (): MetadataSet =>
  setOf({
    Garden: objectFile('Garden', { name: { type: 'string', 'x-index': true }, area: { type: 'number' } }, { required: ['name'] }),
    Plant: objectFile(
      'Plant',
      {
        label: { type: 'string', 'x-search': true },
        code: { type: 'string', 'x-unique': true },
        garden: { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'plants', onDelete: 'cascade' } },
        parent: { type: 'string', format: 'uuid', 'x-ref': { to: 'Plant', as: 'offspring' } },
        about: { type: 'string', format: 'uuid', 'x-ref': { to: ['Garden', 'Plant'] } },
        tags: { type: 'array', items: { type: 'string' } },
        photo: { type: 'string', format: 'file' },
      },
      { 'x-unique': [['garden', 'label']] },
    ),
  });

function withField(set: MetadataSet, object: string, name: string, field: FieldSchema): MetadataSet {
  const file = set.objects.get(object);
  if (file === undefined) throw new Error(`no ${object}`);
  return { ...set, objects: new Map([...set.objects, [object, { ...file, properties: { ...file.properties, [name]: field } }]]) };
}

async function refusal(work: Promise<unknown>): Promise<AppError> {
  try {
    await work;
  } catch (error) {
    if (isAppError(error)) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}

describe('model store', () => {
  let database: TestDatabase;
  let store: ModelStore;

  beforeEach(async () => {
    database = await makeTestDatabase();
    store = makeModelStore({ db: database.db, clock: systemClock, extensions: {} });
  });

  afterEach(() => database.drop());

  async function insert(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const model = await store.load();
    const found = model.objects.get(object);
    if (found === undefined) throw new Error(`no ${object}`);
    const id = uuidV7(systemClock.nowMs());
    const now = systemClock.now();
    const columns = [
      'id',
      'created_at',
      'created_by',
      'updated_at',
      'updated_by',
      ...Object.keys(values).map((name) => found.fields.get(name)?.column ?? name),
    ];
    const bound = [id, now, 'test', now, 'test', ...Object.values(values)].map((value) => sql`${value}`);
    await run(
      database.db,
      sql`insert into ${ident(schemaOf(database.db), found.table)} (${joinSql(columns.map((column) => ident(column)))}) values (${joinSql(bound)})`,
    );
    return id;
  }

  const versions = (): Promise<Record<string, unknown>[]> =>
    rows(database.db, sql`select version, hash from ${platformTable(database.db, 'metadata_version')} order by version`);

  it('answers an empty Model with the built-in users before anything was applied', async () => {
    const model = await store.current();
    expect(model.version).to.equal(0);
    expect([...model.objects.keys()]).to.deep.equal(['User']);
    expect(model.objects.get('User')?.table).to.equal('app_user');
  });

  it('makes tables, columns, indexes and foreign keys, and applying twice writes nothing', async () => {
    const first = await store.apply(base(), 'test');
    expect(first.version).to.equal(1);
    expect(first.steps.map((step) => step.class)).to.include('instant');
    const model = await store.current();
    const plant = model.objects.get('Plant');
    expect(plant?.table).to.match(/^plant_[0-9a-z]{4}$/);
    const keys = await rows(
      database.db,
      sql`select a.attname as name from pg_constraint k join pg_class t on t.oid = k.conrelid join pg_attribute a on a.attrelid = t.oid and a.attnum = k.conkey[1]
          where k.contype = 'f' and t.relname = ${plant?.table} and k.convalidated order by 1`,
    );
    expect(keys.map((row) => row['name'])).to.have.members(['garden', 'parent', 'photo'].map((name) => plant?.fields.get(name)?.column).concat('owner_id'));
    const unindexed = await rows(
      database.db,
      sql`select k.conname from pg_constraint k where k.contype = 'f' and k.connamespace = ${schemaOf(database.db)}::regnamespace and k.conrelid::regclass::text like '%plant%'
          and not exists (select 1 from pg_index x where x.indrelid = k.conrelid and x.indkey[0] = k.conkey[1])`,
    );
    expect(unindexed).to.deep.equal([]);

    const again = await store.apply(base(), 'test');
    expect(again).to.deep.include({ steps: [], version: 1 });
    expect((await store.plan(base())).steps).to.deep.equal([]);
    expect(await versions()).to.have.length(1);
  });

  it('gives a field and an object to a running system, visible to another process without restart', async () => {
    await store.apply(base(), 'test');
    const otherPool = openTestPool(database.url);
    try {
      const other = makeModelStore({ db: otherPool, clock: systemClock, extensions: {} });
      expect((await other.current()).version).to.equal(1);
      await insert('Garden', { name: 'Rosary' });
      const wanted = withField(base(), 'Garden', 'plot', { type: 'string', format: 'uuid', 'x-ref': { to: 'Plot', as: 'gardens' }, 'x-index': true });
      const plot = objectFile('Plot', { number: { type: 'string', 'x-unique': true }, wet: { type: 'boolean', 'x-default': 'false' } });
      const result = await store.apply({ ...wanted, objects: new Map([...wanted.objects, ['Plot', plot]]) }, 'test');
      expect(result.steps.filter((step) => step.sql.length > 0).map((step) => step.class)).to.include.members(['instant', 'online']);
      const seen = await other.waitFor(2);
      expect(seen.objects.get('Plot')?.toMany.get('gardens')).to.deep.equal({ name: 'gardens', object: 'Garden', via: 'plot' });
      expect((await other.current()).version).to.equal(2);
      const garden = seen.objects.get('Garden');
      const [row] = await rows(otherPool, sql`select * from ${ident(schemaOf(otherPool), garden?.table ?? '')}`);
      expect(row).to.have.property(garden?.fields.get('plot')?.column ?? '', null);
      expect((await store.plan({ ...wanted, objects: new Map([...wanted.objects, ['Plot', plot]]) })).steps).to.deep.equal([]);
    } finally {
      await otherPool.destroy();
    }
  });

  it('current() follows what another process applied within its second', async () => {
    await store.apply(base(), 'test');
    const otherPool = openTestPool(database.url);
    try {
      const other = makeModelStore({ db: otherPool, clock: systemClock, extensions: {} });
      await other.apply(withField(base(), 'Garden', 'shade', { type: 'boolean' }), 'test');
      const start = performance.now();
      while (!(await store.current()).objects.get('Garden')?.fields.has('shade')) expect(performance.now() - start).to.be.below(2000);
    } finally {
      await otherPool.destroy();
    }
  });

  it('renames as metadata only: the column and its data stay', async () => {
    const applied = await store.apply(base(), 'test').then(() => store.current());
    const before = applied.objects.get('Garden')?.fields.get('area');
    await insert('Garden', { name: 'Rosary', area: '12.5' });
    const files = applied.source.objects;
    const garden = files.get('Garden');
    if (garden === undefined) throw new Error('no Garden');
    const properties = Object.fromEntries(Object.entries(garden.properties).map(([name, field]) => [name === 'area' ? 'surface' : name, field]));
    const result = await store.apply({ ...applied.source, objects: new Map([...files, ['Garden', { ...garden, properties }]]) }, 'test');
    expect(result.steps.map((step) => step.description)).to.deep.equal(['Rename the field Garden.area to surface', 'Change the object Garden']);
    expect(result.steps.every((step) => step.class === 'metadata' && step.sql.length === 0)).to.equal(true);
    const after = (await store.current()).objects.get('Garden')?.fields.get('surface');
    expect(after?.column).to.equal(before?.column);
    expect(after?.id).to.equal(before?.id);
  });

  it('renames an object as long as it has no records, and then says what to do instead', async () => {
    const alone = { ...base(), objects: new Map([...base().objects].filter(([name]) => name === 'Garden')) };
    const first = await store.apply(alone, 'test').then(() => store.current());
    const renamed = (set: MetadataSet): MetadataSet => ({
      ...set,
      objects: new Map([...set.objects].map(([name, file]) => [name === 'Garden' ? 'Park' : name, file])),
    });
    expect((await store.plan(renamed(first.source))).steps.map((step) => [step.class, step.description])).to.deep.include([
      'metadata',
      'Rename the object Garden to Park',
    ]);
    await insert('Garden', { name: 'Rosary' });
    const refused = (await store.plan(renamed(first.source))).steps.find((step) => step.class === 'refused');
    expect(refused?.description).to.equal('Rename the object Garden to Park: it has 1 record.');
    expect(refused?.fix).to.match(/change its title/);
  });

  it('indexes existing fields of an object that has no records yet', async () => {
    await store.apply(base(), 'test');
    const wanted = withField(base(), 'Garden', 'area', { type: 'number', 'x-index': true });
    const result = await store.apply(wanted, 'test');
    expect(result.steps.map((step) => step.description)).to.include('Create the index on Garden.area');
    expect((await store.plan(wanted)).steps).to.deep.equal([]);
    const back = await store.apply(base(), 'test');
    expect(back.steps.some((step) => step.description.startsWith('Drop the index'))).to.equal(true);
  });

  it('goes on where a killed apply stopped', async () => {
    const plan = await store.plan(base());
    const create = plan.steps.filter((step) => step.sql[0]?.startsWith('create table') === true);
    const [one] = create;
    if (one === undefined) throw new Error('no step');
    // What the first step's transaction leaves behind when the process dies after it: its table and its names.
    await database.db.transaction(async (tx) => {
      for (const statement of one.sql) await tx.raw(statement);
      for (const id of one.records) {
        const name = plan.physical.get(id);
        if (name === undefined) throw new Error('no name');
        await run(
          tx,
          sql`insert into ${platformTable(tx, 'physical_name')} (id, kind, object_id, name, physical, sort_physical, shape)
              values (${name.id}, ${name.kind}, ${name.objectId}, ${name.name}, ${name.physical}, ${name.sortPhysical}, ${name.shape})`,
        );
      }
    });
    const result = await store.apply(base(), 'test');
    expect(result.steps.filter((step) => step.sql[0]?.startsWith('create table') === true)).to.have.length(create.length - 1);
    expect((await store.current()).objects.get('Garden')?.table).to.equal(plan.physical.get(one.records[0] ?? '')?.physical);
    expect((await store.plan(base())).steps).to.deep.equal([]);
  });

  it('makes an index anew that a killed apply left invalid', async () => {
    await store.apply(base(), 'test');
    await insert('Garden', { name: 'Rosary' });
    const wanted = withField(base(), 'Garden', 'shade', { type: 'string', 'x-id': 'abcdefgh0123', 'x-unique': true });
    const plan = await store.plan(wanted);
    const done = plan.steps.filter((step) => step.sql.length > 0);
    for (const step of done) for (const statement of step.sql) await database.db.raw(statement);
    const index = done.find((step) => step.class === 'online');
    const name = /index concurrently "([^"]+)"/.exec(index?.sql.join() ?? '')?.[1];
    await run(database.db, sql`update pg_index set indisvalid = false where indexrelid = ${`${schemaOf(database.db)}.${name ?? ''}`}::regclass`);
    await store.apply(wanted, 'test');
    const [row] = await rows(database.db, sql`select indisvalid from pg_index where indexrelid = ${`${schemaOf(database.db)}.${name ?? ''}`}::regclass`);
    expect(row).to.deep.equal({ indisvalid: true });
    expect((await store.plan(wanted)).steps).to.deep.equal([]);
  });

  it('lets two processes apply at once: one does it, the other finds it done', async () => {
    const otherPool = openTestPool(database.url);
    try {
      const other = makeModelStore({ db: otherPool, clock: systemClock, extensions: {} });
      const results = await Promise.all([store.apply(base(), 'a'), other.apply(base(), 'b')]);
      expect(results.map((result) => result.version)).to.deep.equal([1, 1]);
      expect(results.filter((result) => result.steps.length === 0)).to.have.length(1);
    } finally {
      await otherPool.destroy();
    }
  });

  it('refuses metadata that does not fit together before touching the database', async () => {
    const error = await refusal(store.apply(withField(base(), 'Plant', 'bed', { type: 'string', format: 'uuid', 'x-ref': { to: 'Gardn' } }), 'test'));
    expect(error.code).to.equal('metadata_invalid');
    expect(error.errors).to.deep.include({
      pointer: 'metadata/objects/Plant.json#/properties/bed/x-ref/to',
      code: 'unknown_object',
      detail: 'There is no object "Gardn".',
      fix: 'Did you mean Garden?',
    });
    expect(await versions()).to.deep.equal([]);
  });

  it('applying any set of objects leaves nothing to plan, and every growth of it can be applied', async () => {
    const field = fc.constantFrom<FieldSchema>(
      { type: 'string' },
      { type: 'string', format: 'multiline' },
      { type: 'string', 'x-index': true },
      { type: 'string', 'x-unique': true },
      { type: 'integer', 'x-index': true },
      { type: 'string', format: 'money' },
      { type: 'string', format: 'date', 'x-index': true },
      { type: 'string', format: 'date-time' },
      { type: 'array', items: { type: 'string' }, 'x-index': true },
      { type: 'object', format: 'address' },
      { type: 'string', format: 'uuid', 'x-ref': { to: 'Alpha' } },
      { type: 'string', format: 'uuid', 'x-ref': { to: ['Alpha', 'User'] } },
      { type: 'string', 'x-sequence': 'A-{0000}' },
      { type: 'boolean', 'x-formula': 'name == null' },
    );
    const fields = fc.dictionary(fc.constantFrom('one', 'two', 'three', 'four', 'aVeryLongNameOfAFieldThatDoesNotFitIntoAColumnName'), field);
    await fc.assert(
      fc.asyncProperty(fields, fields, fields, async (alpha, beta, grown) => {
        const own = await makeTestDatabase({ poolSize: 2 });
        try {
          const ownStore = makeModelStore({ db: own.db, clock: systemClock, extensions: {} });
          const name: FieldSchema = { type: 'string' };
          const first = setOf({ Alpha: objectFile('Alpha', { name, ...alpha }), Beta: objectFile('Beta', { name, ...beta }) });
          await ownStore.apply(first, 'test');
          expect((await ownStore.plan(first)).steps).to.deep.equal([]);
          const second = setOf({
            Alpha: objectFile('Alpha', { name, ...alpha }),
            Beta: objectFile('Beta', { name, ...grown, ...beta }),
            Gamma: objectFile('Gamma', { name, ...grown }),
          });
          await ownStore.apply(second, 'test');
          expect((await ownStore.plan(second)).steps).to.deep.equal([]);
          expect([...((await ownStore.current()).objects.get('Gamma')?.fields.keys() ?? [])]).to.include.members(Object.keys(grown));
        } finally {
          await own.drop();
        }
      }),
      { numRuns: 8 },
    );
  });
});
