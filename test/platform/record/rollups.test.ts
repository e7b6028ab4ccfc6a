import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { RecordData } from '../../../src/platform/query/types.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { callOf, GARDEN_ROLLUPS, gardenObjects, makeGardens, rolled, withPermissions, type Gardens } from './fixtures/gardens.ts';

const engine = makeRecordEngine();
const reader = makeReader();

describe('roll-ups', () => {
  let gardens: Gardens;
  let call: CallContext;
  before(async () => {
    gardens = await makeGardens();
    call = callOf(gardens.model);
  });
  after(() => gardens.drop());

  const write = async (object: string, item: WriteItem): Promise<RecordData> => {
    const { record, id, version } = await engine.writeOne(gardens.db, call, object, item);
    return record ?? { id, version };
  };
  const create = (object: string, values: Readonly<Record<string, unknown>>): Promise<RecordData> => write(object, { kind: 'create', values });
  const garden = (id: string, fields?: readonly string[]): Promise<RecordData> => reader.get(gardens.db, call, 'Garden', id, { fields });
  const rollups = async (id: string): Promise<Readonly<Record<string, unknown>>> => {
    const found = await garden(id);
    return Object.fromEntries(
      Object.entries(found).filter(([name]) => gardens.model.objects.get('Garden')?.fields.get(name)?.kind === 'rollup' || name === 'crowded'),
    );
  };

  it('begin with nothing, and follow every write of the related records', async () => {
    const made = await create('Garden', { name: 'North' });
    const nothing = { plantCount: 0, keptCount: 0, worth: '0', volume: '0', lowest: null, highest: null, firstPlanted: null, meanPrice: null };
    const empty = { ...nothing, lastLabel: null, hotCount: 0, hotWorth: '0', mentionCount: 0, crowded: false };
    expect(await rollups(made.id)).to.deep.equal(empty);
    expect(made).to.include({ plantCount: 0, worth: '0', hotCount: 0, lastLabel: null });
    const oak = await create('Plant', { label: 'Oak', garden: made.id, height: 300, price: '10.50', kept: true, plantedOn: '2020-04-01' });
    const weed = await create('Plant', { label: 'Weed', garden: made.id, height: 20, price: '0.25', kept: true, kind: 'weed', plantedOn: '2021-04-01' });
    expect(await rollups(made.id)).to.deep.equal({
      plantCount: 2,
      keptCount: 1,
      worth: '10.75',
      volume: '3155',
      lowest: 20,
      highest: 300,
      firstPlanted: '2020-04-01',
      meanPrice: '5.375',
      lastLabel: 'Weed',
      hotCount: 2,
      hotWorth: '10.75',
      mentionCount: 0,
      crowded: false,
    });
    // A filter's field changes, and the record counts no longer.
    await write('Plant', { kind: 'update', id: weed.id, values: { kept: false } });
    expect(await rollups(made.id)).to.include({ plantCount: 2, keptCount: 1, worth: '10.5', lastLabel: 'Oak', hotCount: 1, hotWorth: '10.75' });
    await write('Plant', { kind: 'delete', id: oak.id });
    expect(await rollups(made.id)).to.include({ plantCount: 1, worth: '0', lowest: 20, highest: null, lastLabel: null, hotCount: 0, hotWorth: '0.25' });
    await write('Plant', { kind: 'restore', id: oak.id });
    expect(await rollups(made.id)).to.include({ plantCount: 2, worth: '10.5', highest: 300, hotCount: 1 });
    // It moves to another record.
    const other = await create('Garden', { name: 'South' });
    await write('Plant', { kind: 'update', id: oak.id, values: { garden: other.id } });
    expect(await rollups(made.id)).to.include({ plantCount: 1, worth: '0', hotCount: 0, hotWorth: '0.25' });
    expect(await rollups(other.id)).to.include({ plantCount: 1, worth: '10.5', hotCount: 1, hotWorth: '10.5', lastLabel: 'Oak' });
    await write('Plant', { kind: 'update', id: oak.id, values: { garden: null } });
    expect(await rollups(other.id)).to.deep.equal(empty);
  });

  it('leave version, time of change and history of the record as they are', async () => {
    const made = await create('Garden', { name: 'Quiet' });
    const before = await garden(made.id, ['version', 'updatedAt', 'updatedBy']);
    const plant = await create('Plant', { label: 'Elm', garden: made.id });
    await write('Plant', { kind: 'update', id: plant.id, values: { kept: true } });
    expect(await garden(made.id, ['version', 'updatedAt', 'updatedBy'])).to.deep.equal(before);
    expect(await reader.history(gardens.db, call, 'Garden', made.id)).to.have.length(1);
    // A change of the record itself takes nothing back, and its history does not speak of roll-ups.
    await write('Garden', { kind: 'update', id: made.id, values: { name: 'Still' } });
    expect(await garden(made.id, ['plantCount', 'hotCount', 'version'])).to.deep.equal({ id: made.id, version: 2, plantCount: 1, hotCount: 1 });
    const [last] = await reader.history(gardens.db, call, 'Garden', made.id);
    expect(last?.changes.map((change) => change.field)).to.deep.equal(['name']);
  });

  it('are made of roll-ups in turn, and follow references that may lead to several objects', async () => {
    const region = await create('Region', { name: 'West' });
    const first = await create('Garden', { name: 'A', region: region.id });
    const second = await create('Garden', { name: 'B' });
    const one = await create('Plant', { label: 'One', garden: first.id });
    await create('Plant', { label: 'Two', garden: second.id });
    const plants = async (): Promise<unknown> => (await reader.get(gardens.db, call, 'Region', region.id))['plants'];
    expect(await plants()).to.equal('1');
    await write('Garden', { kind: 'update', id: second.id, values: { region: region.id } });
    expect(await plants()).to.equal('2');
    await write('Plant', { kind: 'update', id: one.id, values: { garden: second.id } });
    expect(await plants()).to.equal('2');
    // Trashing the garden takes its plants along, and the region counts neither.
    await write('Garden', { kind: 'delete', id: second.id });
    expect(await plants()).to.equal('0');
    await create('Note', { text: 'Fence', about: { object: 'Garden', id: first.id } });
    const note = await create('Note', { text: 'Leaf', about: { object: 'Plant', id: (await create('Plant', { label: 'P', garden: first.id })).id } });
    expect(await rollups(first.id)).to.include({ mentionCount: 1 });
    await write('Note', { kind: 'update', id: note.id, values: { about: { object: 'Garden', id: first.id } } });
    expect(await rollups(first.id)).to.include({ mentionCount: 2 });
  });

  it('are counted over a whole batch, also one that fails in part', async () => {
    const made = await Promise.all(['x', 'y', 'z'].map((name) => create('Garden', { name })));
    const items = made.flatMap(({ id }) => [5, 6, 7].map((height): WriteItem => ({ kind: 'create', values: { label: 'n', garden: id, height, price: '2' } })));
    const wrong: WriteItem = { kind: 'create', values: { label: 'n', garden: made[0]?.id, height: 'high' } };
    const outcomes = await inTransaction(gardens.db, (tx) => engine.write(tx, call, 'Plant', [...items, wrong], { mode: 'each' }));
    expect(outcomes.filter((outcome) => !outcome.ok)).to.have.length(1);
    for (const { id } of made) expect(await rollups(id)).to.include({ plantCount: 3, volume: '36', lowest: 5, hotWorth: '6' });
    await inTransaction(gardens.db, (tx) => engine.write(tx, call, 'Plant', [...items, wrong], {})).then(
      () => expect.fail('a wrong item ends the batch'),
      (error: unknown) => expect(isAppError(error, 'validation_failed')).to.equal(true),
    );
    for (const { id } of made) expect(await rollups(id)).to.include({ plantCount: 3, hotWorth: '6' });
  });

  it('stand in lists, filters, sorts, formulas, groups and names, hot ones with what waits', async () => {
    const small = await create('Garden', { name: 'sorted small' });
    const big = await create('Garden', { name: 'sorted big' });
    for (const id of [small.id, big.id, big.id, big.id]) await create('Plant', { label: 'n', garden: id, price: '3', kept: true });
    const waiting = await rows(gardens.db, sql`select count(*)::int as n from credenza.rollup_delta where record_id = ${big.id}::uuid`);
    expect(waiting[0]?.['n']).to.equal(6);
    const list = async (query: Readonly<Record<string, unknown>>): Promise<readonly string[]> =>
      (await reader.list(gardens.db, call, { object: 'Garden', fields: ['name'], ...query })).data.map((record) => String(record['name']));
    const both = "name == 'sorted small' || name == 'sorted big'";
    for (const sort of ['plantCount', 'hotCount', 'hotWorth']) {
      expect(await list({ filter: both, sort: [sort] })).to.deep.equal(['sorted small', 'sorted big']);
      expect(await list({ filter: both, sort: [`-${sort}`] })).to.deep.equal(['sorted big', 'sorted small']);
    }
    expect(await list({ filter: `(${both}) && hotCount == 3 && hotWorth > 8.5 && plantCount >= 3 && crowded` })).to.deep.equal(['sorted big']);
    expect(await list({ filter: both, equals: { hotCount: '1' } })).to.deep.equal(['sorted small']);
    const plants = await reader.list(gardens.db, call, { object: 'Plant', filter: `garden.hotCount == 3 && garden.plantCount == 3`, fields: ['label'] });
    expect(plants.data).to.have.length(3);
    const grouped = await reader.aggregate(gardens.db, call, {
      object: 'Garden',
      filter: both,
      groupBy: ['hotCount'],
      measures: [{ as: 'n', op: 'sum', field: 'hotWorth' }],
    });
    expect(grouped.data).to.deep.equal([
      { hotCount: 1, n: '3' },
      { hotCount: 3, n: '9' },
    ]);
    const pages = await reader.list(gardens.db, call, { object: 'Garden', filter: both, sort: ['-hotCount'], limit: 1, fields: ['name'] });
    const rest = await reader.list(gardens.db, call, {
      object: 'Garden',
      filter: both,
      sort: ['-hotCount'],
      limit: 1,
      fields: ['name'],
      cursor: pages.page.next ?? '',
    });
    expect([pages.data[0]?.['name'], rest.data[0]?.['name']]).to.deep.equal(['sorted big', 'sorted small']);
  });

  it('cannot be set by anyone', async () => {
    const error = await create('Garden', { name: 'n', plantCount: 4 }).then(
      () => null,
      (found: unknown) => found,
    );
    expect(isAppError(error, 'validation_failed') && error.errors[0]).to.include({ pointer: '/plantCount', code: 'read_only' });
  });

  it('are hidden from those who may not see what they are made of, unless the metadata says otherwise', async () => {
    const made = await create('Garden', { name: 'Secret' });
    await create('Plant', { label: 'n', garden: made.id, price: '3', kept: true, height: 4 });
    const seen = async (set: string): Promise<readonly string[]> =>
      Object.keys(await reader.get(gardens.db, callOf(gardens.model, [set]), 'Garden', made.id)).filter((name) =>
        /Count|worth|Worth|lowest|crowded|meanPrice/.test(name),
      );
    expect(await seen('gardener')).to.have.members([
      'plantCount',
      'keptCount',
      'worth',
      'lowest',
      'meanPrice',
      'hotCount',
      'hotWorth',
      'mentionCount',
      'crowded',
    ]);
    expect(await seen('visitor')).to.deep.equal([]);
    expect(await seen('owner')).to.deep.equal([]);
    expect(await seen('helper')).to.have.members(['plantCount', 'keptCount', 'lowest', 'hotCount', 'crowded']);
    const helper = callOf(gardens.model, ['helper']);
    for (const query of [{ filter: 'worth > 1' }, { sort: ['worth'] }, { fields: ['worth'] }]) {
      const error = await reader.list(gardens.db, helper, { object: 'Garden', ...query }).then(
        () => null,
        (found: unknown) => found,
      );
      expect(isAppError(error, 'invalid_query'), JSON.stringify(query)).to.equal(true);
    }
  });

  it('are shown to all readers of the record where they are declassified', async () => {
    const open = await makeOpenGardens();
    try {
      const made = await engine.writeOne(open.db, callOf(open.model), 'Garden', { kind: 'create', values: { name: 'Open' } });
      await engine.writeOne(open.db, callOf(open.model), 'Plant', { kind: 'create', values: { label: 'n', garden: made.id } });
      expect(await reader.get(open.db, callOf(open.model, ['visitor']), 'Garden', made.id, { fields: ['plantCount'] })).to.include({ plantCount: 1 });
    } finally {
      await open.drop();
    }
  });
});

function makeOpenGardens(): Promise<Gardens> {
  return makeGardens(
    4,
    withPermissions(gardenObjects({ ...GARDEN_ROLLUPS, plantCount: rolled('integer', { relation: 'plants', op: 'count', declassified: true }) })),
  );
}
