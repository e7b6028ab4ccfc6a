import { expect } from 'chai';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { reportDrift } from '../../../src/platform/schema/drift.ts';
import type { SchemaStep } from '../../../src/platform/schema/types.ts';
import { ident, rows, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { objectFile, setOf } from './builders.ts';
import { changed, makeWorld, refusal, renamedField, triggersLeft, withField, withoutField, type World } from './world.ts';

const base = (): MetadataSet =>
  setOf({
    Garden: objectFile('Garden', { name: { type: 'string', 'x-id': 'gardenname01' }, area: { type: 'number', 'x-id': 'gardenarea01' } }),
    Plant: objectFile('Plant', {
      label: { type: 'string', 'x-id': 'plantlabel01' },
      garden: { type: 'string', format: 'uuid', 'x-id': 'plantgarden1', 'x-ref': { to: 'Garden', as: 'plants' } },
      about: { type: 'string', format: 'uuid', 'x-id': 'plantabout01', 'x-ref': { to: ['Garden', 'Plant'] } },
    }),
  });

const classes = (steps: readonly SchemaStep[]): readonly string[] => steps.map((step) => step.class);
const words = (steps: readonly SchemaStep[]): string => steps.map((step) => step.description).join('\n');

describe('schema change', () => {
  const clock = makeVirtualClock('2026-03-02T15:00:00.000Z');
  let world: World;

  beforeEach(async () => {
    world = await makeWorld({ clock });
    await world.store.apply(base(), 'test');
    const rose = await world.insert('Garden', { name: 'Rosary', area: '12.5' });
    await world.insert('Garden', { name: 'Orchard', area: '3' });
    await world.insert('Garden', { name: 'Meadow' });
    await world.insert('Plant', { label: 'Rose', garden: rose, about: { object: 'Garden', id: rose } });
  });
  afterEach(() => world.drop());

  /** Applies a set, and expects that it is then just as planned. */
  async function apply(set: MetadataSet, options = {}): Promise<readonly SchemaStep[]> {
    const planned = await world.store.plan(set, options);
    const { steps, hash } = await world.store.apply(set, 'test', options);
    expect(hash).to.equal(planned.hash);
    expect((await world.store.plan(set)).steps, 'planned again').to.deep.equal([]);
    const { db } = world.database;
    expect(await rows(db, sql`select 1 from ${ident(schemaOf(db), 'schema_fill')}`)).to.deep.equal([]);
    expect(await triggersLeft(db)).to.deep.equal([]);
    return steps;
  }

  async function liveColumns(object: string): Promise<readonly string[]> {
    const table = (await world.store.load()).objects.get(object)?.table;
    const found = await rows(world.database.db, sql`select column_name from information_schema.columns where table_name = ${table} order by 1`);
    return found.map((row) => String(row['column_name']));
  }

  it('hides a field that is gone from the files, says for how long it is kept, and shows it again with its values', async () => {
    const column = (await world.store.load()).objects.get('Garden')?.fields.get('area')?.column ?? '';
    const steps = await apply(withoutField(base(), 'Garden', 'area'));
    expect(classes(steps)).to.deep.equal(['metadata', 'metadata']);
    expect(words(steps)).to.contain('Hide the field Garden.area; its values are kept until 2026-05-31 at least');
    expect((await world.store.load()).objects.get('Garden')?.fields.has('area')).to.equal(false);
    expect(await liveColumns('Garden')).to.include(column);
    const back = await apply(base());
    expect(words(back)).to.contain('Show the field Garden.area again, with the values that it had');
    expect(await world.values('Garden', 'area')).to.deep.equal(['12.5', '3', null]);
  });

  it('drops a hidden field after 90 days and only when that is asked for; then its values are gone', async () => {
    const without = withoutField(base(), 'Garden', 'area');
    const column = (await world.store.load()).objects.get('Garden')?.fields.get('area')?.column ?? '';
    await apply(without);
    expect((await world.store.plan(without, { allowDestructive: true })).steps).to.deep.equal([]);
    clock.advanceTo('2026-05-31T15:00:00.000Z');
    expect((await world.store.plan(without)).steps).to.deep.equal([]);
    const steps = await apply(without, { allowDestructive: true });
    expect(steps.map((step) => [step.class, step.lock])).to.deep.equal([['destructive', 'ACCESS EXCLUSIVE']]);
    expect(words(steps)).to.equal('Drop the field Garden.area');
    expect(await liveColumns('Garden')).not.to.include(column);
    await apply(base());
    expect(await world.values('Garden', 'area')).to.deep.equal([null, null, null]);
  });

  it('removes an object: hidden with its records, shown again with them, its table dropped at last', async () => {
    const gardens = setOf({ Garden: base().objects.get('Garden') ?? objectFile('Garden', {}) });
    const steps = await apply(gardens);
    expect(words(steps)).to.match(/Hide the object Plant with 1 record, kept until/);
    expect((await world.store.load()).objects.has('Plant')).to.equal(false);
    await apply(base());
    expect(await world.values('Plant', 'label')).to.deep.equal(['Rose']);
    await apply(gardens);
    clock.advanceTo('2027-03-02T15:00:00.000Z');
    const dropped = await apply(gardens, { allowDestructive: true });
    expect(words(dropped)).to.equal('Drop the table of Plant, with 1 record');
    expect((await rows(world.database.db, sql`select 1 from pg_class where relname like 'plant%' and relkind = 'r'`)).length).to.equal(0);
  });

  it('gives the order of a view an index, and takes it away with the view', async () => {
    const view = { name: 'gardens', label: 'Gardens', object: 'Garden', columns: ['name', 'area'] };
    const sorted = (sort: string): MetadataSet => ({ ...base(), views: new Map([['gardens', { ...view, sort }]]) });
    const definitions = async (): Promise<readonly string[]> => {
      const table = (await world.store.load()).objects.get('Garden')?.table;
      const found = await rows(world.database.db, sql`select indexdef from pg_indexes where tablename = ${table} and indexname ~ '_[xo]$' order by 1`);
      return found.map((row) => String(row['indexdef']).replace(/^.* USING /, ''));
    };
    const steps = await apply(sorted('-name,area'));
    expect(steps.filter((step) => step.class !== 'metadata').map((step) => [step.class, step.lock, step.description])).to.deep.equal([
      ['online', 'SHARE UPDATE EXCLUSIVE', 'Create the index on Garden.name'],
    ]);
    expect(await definitions()).to.have.lengthOf(1);
    expect((await definitions())[0]).to.match(/^btree \(name_\w+_s, id\)$/);
    expect(words(await apply(sorted('area')))).to.match(/Create the index on Garden\.area[^]*Drop the index on Garden\.name/);
    expect((await definitions())[0]).to.match(/^btree \(area_\w+, id\)$/);
    await world.store.apply({ kind: 'return', version: 1 }, 'test');
    expect(await definitions()).to.deep.equal([]);
  });

  it('names rules, views, forms and templates that name what is renamed', async () => {
    const view = { name: 'gardens', label: 'Gardens', object: 'Garden', filter: 'area > 2', columns: ['name', 'area'], sort: '-area' };
    const report = { name: 'size', label: 'Size', stages: [{ label: 'Planted', object: 'Plant', filter: 'garden.area > 5' }] };
    const more = { views: new Map([['gardens', view]]), reports: new Map([['size', report]]), templates: new Map([['mail/x', 'It has {{area}} ares.']]) };
    await apply({ ...base(), ...more });
    const renamed = renamedField(base(), 'Garden', 'area', 'surface');
    const views = new Map([['gardens', { ...view, filter: 'surface > 2', columns: ['name', 'surface'], sort: '-surface' }]]);
    const reports = new Map([['size', { ...report, stages: [{ label: 'Planted', object: 'Plant', filter: 'garden.surface > 5' }] }]]);
    const { steps } = await world.store.plan({ ...renamed, ...more, views, reports });
    const rename = steps.find((step) => step.description.startsWith('Rename'));
    expect(rename?.affects.map((entry) => entry.pointer)).to.have.members([
      'metadata/views/gardens.json#/filter',
      'metadata/views/gardens.json#/columns/1',
      'metadata/views/gardens.json#/sort',
      'metadata/reports/size.json#/stages/0/filter',
      'templates/mail/x.hbs',
    ]);
  });

  it('builds indexes and unique keys beside the work, and reports what is not unique', async () => {
    const indexed = withField(base(), 'Garden', 'area', { type: 'number', 'x-id': 'gardenarea01', 'x-index': true });
    const steps = await apply(indexed);
    expect(steps.map((step) => [step.class, step.lock])).to.deep.equal([
      ['online', 'SHARE UPDATE EXCLUSIVE'],
      ['metadata', null],
    ]);
    const dropped = await apply(base());
    expect(classes(dropped)).to.deep.equal(['metadata', 'online']);
    await world.insert('Garden', { name: 'Meadow', area: '3' });
    const unique = withField(base(), 'Garden', 'name', { type: 'string', 'x-id': 'gardenname01', 'x-unique': true });
    const error = await refusal(world.store.apply(unique, 'test'));
    expect(error.code).to.equal('schema_refused');
    expect(error.message).to.equal('Garden.name cannot be unique: 2 records share a value with another.');
    const finding = (await world.store.plan(unique)).steps.find((step) => step.class === 'refused')?.findings?.[0];
    expect(finding?.records).to.have.length(1);
    await world.update('Garden', finding?.records[0] ?? '', { name: 'Moor' });
    expect(classes(await apply(unique))).to.include('online');
    expect(classes(await apply(base()))).to.deep.equal(['instant', 'metadata']);
  });

  it('requires a field once every record has it, and holds writers to it', async () => {
    const required = changed(base(), 'Garden', (file) => ({ ...file, required: ['area'] }));
    const error = await refusal(world.store.apply(required, 'test'));
    expect(error.message).to.equal('Garden.area cannot be required: 1 record has no value.');
    const { db } = world.database;
    await run(
      db,
      sql`delete from ${ident(schemaOf(db), (await world.store.load()).objects.get('Garden')?.table ?? '')} where true and not exists (select 1) or ${ident((await world.store.load()).objects.get('Garden')?.fields.get('area')?.column ?? '')} is null`,
    );
    const steps = await apply(required);
    expect(steps.map((step) => step.description)).to.include.members(['Require Garden.area', 'Check that every record has Garden.area']);
    let refused: unknown = null;
    await world.insert('Garden', { name: 'Waste' }).catch((thrown: unknown) => (refused = thrown));
    expect(String(refused)).to.contain('violates check constraint');
    await apply(base());
    await world.insert('Garden', { name: 'Waste' });
  });

  it('adds a required field with a constant for the records that exist, and refuses one without', async () => {
    const field: FieldSchema = { type: 'string', 'x-id': 'gardensoil01', 'x-default': "'sand? or \\'clay'" };
    const add = (schema: FieldSchema): MetadataSet =>
      changed(withField(base(), 'Garden', 'soil', schema), 'Garden', (file) => ({ ...file, required: ['soil'] }));
    const error = await refusal(world.store.apply(add({ type: 'string', 'x-id': 'gardensoil01' }), 'test'));
    expect(error.message).to.contain('The new field Garden.soil is required, but 3 records would lack it.');
    await apply(add(field));
    expect(await world.values('Garden', 'soil')).to.deep.equal(["sand? or 'clay", "sand? or 'clay", "sand? or 'clay"]);
    const { db } = world.database;
    expect(await rows(db, sql`select 1 from information_schema.columns where column_name like 'soil%' and column_default is not null`)).to.deep.equal([]);
  });

  it('ties a reference anew: what points to nothing of the new kind is reported first', async () => {
    const to = (object: string): FieldSchema => ({ type: 'string', format: 'uuid', 'x-id': 'plantgarden1', 'x-ref': { to: object } });
    const error = await refusal(world.store.apply(withField(base(), 'Plant', 'garden', to('Plant')), 'test'));
    expect(error.message).to.contain('Plant.garden cannot become a reference to Plant');
    const plant = await world.insert('Plant', { label: 'Lily' });
    const [rose] = await rows(
      world.database.db,
      sql`select id from ${ident(schemaOf(world.database.db), (await world.store.load()).objects.get('Plant')?.table ?? '')} order by id limit 1`,
    );
    await world.update('Plant', String(rose?.['id']), { garden: null });
    await apply(withField(base(), 'Plant', 'garden', to('Plant')));
    await world.update('Plant', plant, { garden: plant });
    expect(await world.values('Plant', 'garden')).to.deep.equal([null, plant]);
  });

  it('refuses a table that would grow too wide by fields that cannot stand in a side table', async () => {
    const fields = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`note${String(index)}`, { type: 'string', 'x-unique': true } as const]));
    const wide = setOf({ ...Object.fromEntries(base().objects), Wide: objectFile('Wide', { name: { type: 'string' }, ...fields }) });
    const error = await refusal(world.store.apply(wide, 'test'));
    expect(error.message).to.equal('Wide would have 411 columns; a table holds at most 400.');
    expect(error.errors[0]?.fix).to.contain('an object of their own');
  });

  it('writes the days of calendars before it holds a lock that others wait for', async () => {
    const calendar = {
      name: 'work',
      label: 'Work',
      zone: 'America/New_York',
      weekdays: [1, 2, 3, 4, 5],
      hours: { start: '09:00', end: '17:00' },
      holidays: [],
    };
    const withDays = (set: MetadataSet, weekdays: readonly number[]): MetadataSet => ({ ...set, calendars: new Map([['work', { ...calendar, weekdays }]]) });
    await apply(
      withDays(
        changed(base(), 'Plant', (file) => ({ ...file, required: ['label'] })),
        [1, 2, 3, 4, 5],
      ),
    );
    const asked: string[] = [];
    world.database.db.on('query', ({ sql: text }: { readonly sql: string }) => asked.push(text));
    await apply(withDays(base(), [1, 2, 3]));
    const days = asked.findIndex((text) => text.startsWith('insert into') && text.includes('"calendar_day"'));
    expect(days).to.be.within(
      1,
      asked.findIndex((text) => text.includes('drop constraint')),
    );
  });

  it('reports constraints and triggers that were added by hand', async () => {
    const { db } = world.database;
    const name = (await world.store.load()).objects.get('Garden')?.table ?? '';
    const table = ident(schemaOf(db), name);
    expect((await reportDrift(db)).drift).to.deep.equal([]);
    await run(db, sql`alter table ${table} add constraint by_hand check (version < 9)`);
    await run(db, sql`create trigger meddles before update on ${table} for each row execute function suppress_redundant_updates_trigger()`);
    const { drift } = await reportDrift(db);
    expect(drift.map(({ what, place, detail }) => `${what} ${place} ${detail}`)).to.deep.equal([
      `unknown Garden (${name} by_hand) No metadata knows this constraint.`,
      `unknown Garden (${name} meddles) No metadata knows this trigger.`,
    ]);
  });
});
