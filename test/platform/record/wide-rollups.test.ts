import { expect } from 'chai';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { FieldSchema } from '../../../src/platform/metadata/types.ts';
import { sideOf } from '../../../src/platform/model/side-tables.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { objectFile, setOf } from '../schema/builders.ts';
import { callOf, makeGardens, rolled, type Gardens } from './fixtures/gardens.ts';

const engine = makeRecordEngine();
const reader = makeReader();

const fields = (count: number, field: FieldSchema): Readonly<Record<string, FieldSchema>> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`note${String(index)}`, field]));
const inGarden: FieldSchema = { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'plants', onDelete: 'clear' } };

describe('roll-ups of wide objects', function () {
  this.timeout(60_000);
  let gardens: Gardens | null = null;
  afterEach(async () => {
    await gardens?.drop();
    gardens = null;
  });

  it('count by a formula over fields that stand in a side table', async () => {
    const plant = {
      label: { type: 'string' },
      garden: inGarden,
      ...fields(320, { type: 'boolean' }),
      price: { type: 'integer' },
      kept: { type: 'boolean' },
    } as const;
    gardens = await makeGardens(10, setOf({ Garden: objectFile('Garden', { name: { type: 'string' } }), Plant: objectFile('Plant', plant) }));
    const { db } = gardens;
    expect(['price', 'kept'].map((name) => sideOf(gardens?.model.objects.get('Plant')?.fields.get(name)?.column ?? ''))).to.deep.equal([1, 1]);
    const model = await gardens.apply(
      setOf({
        Garden: objectFile('Garden', {
          name: { type: 'string' },
          worth: rolled('number', { relation: 'plants', op: 'sum', value: 'double', filter: 'counts' }),
          hotWorth: rolled('number', { relation: 'plants', op: 'sum', value: 'double', hot: true }),
        }),
        Plant: objectFile('Plant', {
          ...plant,
          double: { type: 'integer', 'x-formula': 'price * 2' },
          counts: { type: 'boolean', 'x-formula': 'kept == true' },
        }),
      }),
    );
    const call = callOf(model);
    const garden = await engine.writeOne(db, call, 'Garden', { kind: 'create', values: { name: 'North' } });
    const oak = await engine.writeOne(db, call, 'Plant', { kind: 'create', values: { label: 'Oak', garden: garden.id, price: 4, kept: true } });
    await engine.writeOne(db, call, 'Plant', { kind: 'create', values: { label: 'Elm', garden: garden.id, price: 1 } });
    expect(await reader.get(db, call, 'Garden', garden.id, { fields: ['worth', 'hotWorth'] })).to.include({ worth: '8', hotWorth: '10' });
    await engine.writeOne(db, call, 'Plant', { kind: 'update', id: oak.id, values: { price: 5 } });
    expect(await reader.get(db, call, 'Garden', garden.id, { fields: ['worth', 'hotWorth'] })).to.include({ worth: '10', hotWorth: '12' });
  });

  it('are read with what waits, whatever number of fields stands beside them', async () => {
    gardens = await makeGardens(
      10,
      setOf({
        Garden: objectFile('Garden', {
          name: { type: 'string' },
          hotCount: rolled('integer', { relation: 'plants', op: 'count', hot: true }),
          ...fields(900, { type: 'string' }),
        }),
        Plant: objectFile('Plant', { label: { type: 'string' }, garden: inGarden }),
      }),
    );
    const { db, model } = gardens;
    const call = callOf(model);
    const garden = await engine.writeOne(db, call, 'Garden', { kind: 'create', values: { name: 'North', note0: 'first', note899: 'last' } });
    await engine.writeOne(db, call, 'Plant', { kind: 'create', values: { label: 'Oak', garden: garden.id } });
    const read = { hotCount: 1, note0: 'first', note899: 'last' };
    expect(await reader.get(db, call, 'Garden', garden.id)).to.include(read);
    const { data } = await reader.list(db, call, { object: 'Garden', filter: "hotCount == 1 && note899 == 'last'", sort: ['-note899'] });
    expect(data).to.have.length(1);
    expect(data[0]).to.include(read);
  });
});
