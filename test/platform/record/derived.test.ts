import { expect } from 'chai';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { makeLog } from '../../../src/platform/log.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeDerivedValues, type DerivedReport, type DerivedValues } from '../../../src/platform/record/derived.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { ident, rows, run, sql } from '../../../src/platform/sql.ts';
import { callOf, gardenObjects, GARDEN_ROLLUPS, makeGardens, rolled, withPermissions, type Gardens } from './fixtures/gardens.ts';
import { setOf } from '../schema/builders.ts';

const engine = makeRecordEngine();
const reader = makeReader();

describe('stored values that follow from others', () => {
  const clock = makeVirtualClock('2027-03-01T12:00:00.000Z');
  let gardens: Gardens;
  let model: Model;
  let derived: DerivedValues;

  before(async () => {
    const bare = gardenObjects({});
    const { region, plant } = { region: bare['Region'], plant: bare['Plant'] };
    if (region === undefined || plant === undefined) throw new Error('no objects');
    const without = (properties: typeof plant.properties, names: readonly string[]): typeof plant.properties =>
      Object.fromEntries(Object.entries(properties).filter(([name]) => !names.includes(name)));
    const first = {
      ...bare,
      Region: { ...region, properties: without(region.properties, ['plants', 'hotPlants']) },
      Garden: { ...(bare['Garden'] ?? region), properties: without(bare['Garden']?.properties ?? {}, ['crowded']) },
      Plant: { ...plant, properties: without(plant.properties, ['tall', 'tag', 'tallness']) },
    };
    gardens = await makeGardens(4, setOf(first));
    model = gardens.model;
    derived = makeDerivedValues({ context: () => Promise.resolve(callOf(model, null, clock.now())), log: makeLog('silent') });
  });
  after(() => gardens.drop());

  const drain = async (): Promise<number> => {
    let total = 0;
    for (let count = 1; count > 0; total += count) {
      count = 0;
      for (const handler of derived.handlers) count += await handler.run(gardens.db);
    }
    return total;
  };
  const create = async (object: string, values: Readonly<Record<string, unknown>>): Promise<string> =>
    (await engine.writeOne(gardens.db, callOf(model), object, { kind: 'create', values })).id;
  const check = (repair = false): Promise<readonly DerivedReport[]> => derived.check(gardens.db, callOf(model, null, clock.now()), repair);
  const column = (object: string, field: string): string => model.objects.get(object)?.fields.get(field)?.column ?? '';
  const table = (object: string): ReturnType<typeof ident> => ident('credenza', model.objects.get(object)?.table ?? '');

  it('do nothing where no object has any', async () => {
    expect(await drain()).to.equal(0);
    expect(await check()).to.deep.equal([]);
  });

  it('are filled for the records that were there before them, without a new version of any', async () => {
    const region = await create('Region', { name: 'West' });
    const garden = await create('Garden', { name: 'Old', region });
    const other = await create('Garden', { name: 'Empty' });
    for (const height of [50, 150, 250])
      await create('Plant', { label: `Plant ${String(height)}`, garden, height, price: '2', kept: height > 100, plantedOn: '2020-01-01' });
    await engine.writeOne(gardens.db, callOf(model), 'Garden', { kind: 'delete', id: other });
    model = await gardens.apply(withPermissions(gardenObjects()));
    const before = await reader.get(gardens.db, callOf(model), 'Garden', garden);
    expect(before).to.include({ plantCount: null, hotCount: null, crowded: false });
    expect((await check()).every((entry) => entry.state === 'filling')).to.equal(true);
    // What is written now is right at once, and stays right.
    await create('Plant', { label: 'New', garden, height: 10, price: '1', kept: true, plantedOn: '2021-01-01' });
    expect(await drain()).to.be.greaterThan(0);
    const filled = await reader.get(gardens.db, callOf(model), 'Garden', garden);
    expect(filled).to.include({
      plantCount: 4,
      keptCount: 3,
      worth: '5',
      lowest: 10,
      highest: 250,
      lastLabel: 'New',
      hotCount: 3,
      hotWorth: '7',
      crowded: true,
      version: 1,
    });
    expect(filled['updatedAt']).to.equal(before['updatedAt']);
    expect(await reader.get(gardens.db, callOf(model), 'Region', region)).to.include({ plants: '4', hotPlants: '4' });
    const plants = await reader.list(gardens.db, callOf(model), {
      object: 'Plant',
      filter: "tag == 'tall Plant 150'",
      sort: ['tag'],
      fields: ['tall', 'tallness', 'version'],
    });
    expect(plants.data.map(({ tall, tallness, version }) => [tall, tallness, version])).to.deep.equal([[true, 'tall', 1]]);
    const report = await check();
    expect(report.map((entry) => [entry.field, entry.state, entry.drifted]).filter(([, state, drifted]) => state !== 'filled' || drifted !== 0)).to.deep.equal(
      [],
    );
    expect(report.find((entry) => entry.field === 'plantCount')).to.include({ object: 'Garden', kind: 'count', hot: false, records: 2, repaired: false });
    expect(await drain()).to.equal(0);
  });

  it('follow their inputs within the write, and are searched by index', async () => {
    const plant = await create('Plant', { label: 'Ash', height: 120 });
    expect(await reader.get(gardens.db, callOf(model), 'Plant', plant, { fields: ['tall', 'tag'] })).to.include({ tall: true, tag: 'tall Ash' });
    const { record } = await engine.writeOne(gardens.db, callOf(model), 'Plant', { kind: 'update', id: plant, values: { height: 20 } });
    expect(record).to.include({ tall: false, tallness: 'low', tag: 'low Ash', version: 2 });
    const [last] = await reader.history(gardens.db, callOf(model), 'Plant', plant);
    expect(last?.changes.map((change) => change.field)).to.deep.equal(['height', 'tall', 'tag', 'tallness']);
    await engine.writeOne(gardens.db, callOf(model), 'Plant', { kind: 'update', id: plant, values: { tag: 'x' } }).then(
      () => expect.fail('a formula is not set'),
      (error: unknown) => expect(String(error)).to.match(/computed/),
    );
    const indexes = await rows(
      gardens.db,
      sql`select indexname from pg_indexes where schemaname = 'credenza' and indexname like ${`%${column('Plant', 'tag')}%`}`,
    );
    expect(indexes).to.have.length(2);
  });

  it('that drifted are reported, and repaired on demand and at night, with what looks at them', async () => {
    await run(gardens.db, sql`update ${table('Garden')} set ${ident(column('Garden', 'plantCount'))} = 77, ${ident(column('Garden', 'hotCount'))} = 55`);
    await run(
      gardens.db,
      sql`update ${table('Plant')} set ${ident(column('Plant', 'tall'))} = not ${ident(column('Plant', 'tall'))} where ${ident(column('Plant', 'height'))} = 150`,
    );
    const found = (await check()).filter((entry) => entry.drifted > 0);
    expect(found.map((entry) => [entry.field, entry.drifted])).to.have.deep.members([
      ['tall', 1],
      ['plantCount', 2],
      ['hotCount', 2],
      // These are right, and stand on others that are not.
      ['tallness', 1],
      ['plants', 1],
      ['hotPlants', 1],
    ]);
    expect(found.find((entry) => entry.field === 'plantCount')?.examples[0]).to.include({ stored: 77, computed: 4 });
    expect((await check()).filter((entry) => entry.drifted > 0)).to.have.length(6);
    // The first look after filling is a minute later, the next at night.
    clock.advanceTo('2027-03-01T12:02:00.000Z');
    expect(await drain()).to.be.greaterThan(0);
    expect((await check()).filter((entry) => entry.drifted > 0)).to.deep.equal([]);
    const kept = await rows(gardens.db, sql`select stored, computed from credenza.derived_drift order by field_id, record_id`);
    expect(kept).to.have.length(5);
    expect((await check()).find((entry) => entry.field === 'plantCount')).to.include({ checkedAt: '2027-03-01T12:02:00.000Z', checkedDrift: 2 });
    await run(gardens.db, sql`update ${table('Garden')} set ${ident(column('Garden', 'worth'))} = 1`);
    clock.advanceTo('2027-03-02T08:14:59.000Z');
    expect(await drain()).to.equal(0);
    // 03:15 of the plan's zone.
    clock.advanceTo('2027-03-02T08:15:00.000Z');
    expect(await drain()).to.be.greaterThan(0);
    expect((await check()).find((entry) => entry.field === 'worth')).to.include({ drifted: 0, checkedDrift: 2 });
    await run(gardens.db, sql`update ${table('Garden')} set ${ident(column('Garden', 'hotWorth'))} = null`);
    expect((await check(true)).find((entry) => entry.field === 'hotWorth')).to.include({ drifted: 2, repaired: true });
    expect((await check()).filter((entry) => entry.drifted > 0)).to.deep.equal([]);
  });

  it('are filled anew when they are made otherwise', async () => {
    const otherwise = {
      ...GARDEN_ROLLUPS,
      keptCount: rolled('integer', { relation: 'plants', op: 'count', filter: 'kept != true' }),
      hotCount: rolled('integer', { relation: 'plants', op: 'count' }),
    };
    model = await gardens.apply(withPermissions(gardenObjects(otherwise)));
    await drain();
    const found = await reader.list(gardens.db, callOf(model), { object: 'Garden', filter: "name == 'Old'" });
    expect(found.data[0]).to.include({ keptCount: 1, hotCount: 4, hotWorth: '7' });
    await inTransaction(gardens.db, (tx) =>
      engine.write(tx, callOf(model), 'Plant', [{ kind: 'create', values: { label: 'n', garden: found.data[0]?.id, price: '1' } }]),
    );
    const after = await reader.get(gardens.db, callOf(model), 'Garden', found.data[0]?.id ?? '');
    expect(after).to.include({ keptCount: 2, hotCount: 5, hotWorth: '8' });
    expect(
      await rows(gardens.db, sql`select 1 from credenza.rollup_delta where field_id = ${model.objects.get('Garden')?.fields.get('hotCount')?.id ?? ''}`),
    ).to.deep.equal([]);
  });
});
