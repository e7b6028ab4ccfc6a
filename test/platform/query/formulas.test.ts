import { expect } from 'chai';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { listRecords } from '../../../src/platform/query/list.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { createTables, id, insert, smallModel, smallSet, staffSet, user } from './support.ts';

const FORMULAS: Readonly<Record<string, FieldSchema>> = {
  numbers: { type: 'array', items: { type: 'string' }, 'x-formula': 'orders.map(o, o.number, o.amount > 1)' },
  average: { type: 'number', format: 'decimal', 'x-formula': 'orders.avg(o, o.amount)' },
  large: { type: 'boolean', 'x-formula': 'orders.sum(o, o.amount, o.amount > 1) > 4' },
  marks: { type: 'string', 'x-formula': "tags.map(t, t.upper()).join('+')" },
  renewal: { type: 'string', format: 'duration', 'x-formula': "isOpen ? duration('P1M') + duration('P1D') : duration('P2W') * 2" },
  renewOn: { type: 'string', format: 'date', 'x-formula': 'opened + renewal' },
};

const SETS = [
  staffSet('reader', { Shop: { read: true } }),
  staffSet('orders', { Order: { read: true } }),
  staffSet('small-orders', { Order: { read: { where: 'amount < 10' } } }),
];

describe('formulas that make lists, durations and figures of related records', () => {
  let database: TestDatabase;
  let model: Model;

  before(async () => {
    const base = smallSet(SETS);
    const shop = base.objects.get('Shop');
    if (shop === undefined) throw new Error('No Shop');
    const set: MetadataSet = completeIds({
      ...base,
      objects: new Map([...base.objects, ['Shop', { ...shop, properties: { ...shop.properties, ...FORMULAS } }]]),
    });
    model = smallModel(SETS, set);
    database = await makeTestDatabase();
    await createTables(database.db, model);
    const { db } = database;
    await insert(db, model, 'Shop', { id: id(1), name: 'Alpha', opened: '2026-01-31', isOpen: true, tags: ['a', 'é'] });
    await insert(db, model, 'Shop', { id: id(2), name: 'Beta', opened: '2026-01-31', isOpen: null, tags: [] });
    await insert(db, model, 'Shop', { id: id(3), name: 'Gamma', opened: null, isOpen: false, tags: null });
    await insert(db, model, 'Order', { id: id(101), number: 'A-1', shop: id(1), amount: '5' });
    await insert(db, model, 'Order', { id: id(102), number: 'A-2', shop: id(1), amount: '0.125' });
    await insert(db, model, 'Order', { id: id(103), number: 'A-3', shop: id(1), amount: '50' });
    await insert(db, model, 'Order', { id: id(104), number: 'B-1', shop: id(2), amount: null });
  });

  after(async () => {
    await database.drop();
  });

  const shops = async (ctx: CallContext, query: { readonly filter?: string; readonly sort?: readonly string[] } = {}): Promise<readonly unknown[]> => {
    const found = await listRecords(database.db, ctx, { object: 'Shop', fields: Object.keys(FORMULAS), sort: ['name'], ...query });
    return found.data.map((record) => Object.keys(FORMULAS).map((name) => record[name]));
  };
  const ALPHA = [['A-1', 'A-3'], '18.375', true, 'A+é', 'P1M1D', '2026-03-01'];
  const BETA = [[], null, false, '', 'P28D', '2026-02-28'];
  const GAMMA = [[], null, false, null, 'P28D', null];

  it('are read', async () => {
    expect(await shops(user(model, ['reader', 'orders']))).to.deep.equal([ALPHA, BETA, GAMMA]);
  });

  it('are made of what the caller may read', async () => {
    const [alpha] = await shops(user(model, ['reader', 'small-orders']));
    expect(alpha).to.deep.equal([['A-1'], '2.5625', true, 'A+é', 'P1M1D', '2026-03-01']);
  });

  it('serve filters and orders', async () => {
    const ctx = user(model, ['reader', 'orders']);
    expect(await shops(ctx, { filter: "'A-3' in numbers && average > 18" })).to.deep.equal([ALPHA]);
    expect(await shops(ctx, { filter: "numbers.exists(n, n.endsWith('9')) || renewOn < date('2026-03-01')" })).to.deep.equal([BETA]);
    expect(await shops(ctx, { filter: "renewal == 'P28D' && marks == null" })).to.deep.equal([GAMMA]);
    expect(await shops(ctx, { sort: ['-renewOn'] })).to.deep.equal([ALPHA, BETA, GAMMA]);
  });
});
