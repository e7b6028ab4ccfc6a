import { expect } from 'chai';

import type { Model } from '../../../src/platform/model/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { ReadQuery } from '../../../src/platform/query/types.ts';
import { listRecords } from '../../../src/platform/query/list.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { failure, makeShops, SHOPS, type Shops } from './shops.ts';
import { ANNA, BERT, createTables, id, insert, system, user } from './support.ts';

describe('what a caller may not see', () => {
  const reader = makeReader();
  let shops: Shops;
  let database: TestDatabase;
  let model: Model;

  before(async () => {
    shops = await makeShops();
    ({ database, model } = shops);
  });
  after(() => database.drop());

  const list: Shops['list'] = (ctx, query) => shops.list(ctx, query);
  const ids: Shops['ids'] = (ctx, query) => shops.ids(ctx, query);

  it('answers a hidden record, a trashed one and one that never was alike', async () => {
    const ctx = user(model, ['own']);
    const hidden = await failure(reader.get(database.db, ctx, 'Shop', id(2)));
    const trashed = await failure(reader.get(database.db, ctx, 'Shop', id(7)));
    const absent = await failure(reader.get(database.db, ctx, 'Shop', id(77)));
    const wrong = await failure(reader.get(database.db, ctx, 'Shop', "' or 1=1 --"));
    for (const other of [trashed, absent])
      expect({ ...other, message: other.message.replace(/[0-9a-f-]{36}/, '') }).to.deep.equal({
        ...hidden,
        message: hidden.message.replace(/[0-9a-f-]{36}/, ''),
      });
    expect(wrong.code).to.equal('not_found');
  });

  it('answers a hidden field exactly as an unknown one, wherever it is named', async () => {
    const ctx = user(model, ['reader']);
    const asks: readonly ((field: string) => Promise<unknown>)[] = [
      (field) => list(ctx, { filter: `${field} == 's1'` }),
      (field) => list(ctx, { filter: `orders.exists(o, o.shop.${field} == 's1')` }),
      (field) => list(ctx, { filter: `orders.map(o, o.shop.${field}).exists(s, s == 's1')` }),
      (field) => list(ctx, { filter: `orders.count(o, [o.shop.${field}, 'x'].filter(s, s != 'x').size() > 0) > 0` }),
      (field) => list(ctx, { sort: [field] }),
      (field) => list(ctx, { sort: [`-${field}`] }),
      (field) => list(ctx, { fields: [field] }),
      (field) => list(ctx, { equals: { [field]: 's1' } }),
      (field) => list(ctx, { expand: [field] }),
      (field) => reader.get(database.db, ctx, 'Shop', id(1), { fields: [field] }),
      (field) => reader.aggregate(database.db, ctx, { object: 'Shop', groupBy: [field], measures: [{ as: 'n', op: 'count' }] }),
      (field) => reader.aggregate(database.db, ctx, { object: 'Shop', measures: [{ as: 'n', op: 'max', field }] }),
      (field) => reader.aggregate(database.db, ctx, { object: 'Shop', filter: `${field} == 's1'`, measures: [{ as: 'n', op: 'count' }] }),
    ];
    for (const ask of asks) {
      for (const hidden of ['secret', 'hint']) {
        const absent = hidden === 'secret' ? 'zqzqzq' : 'zqzq';
        const [told, unknown] = [await failure(ask(hidden)), await failure(ask(absent))];
        expect(JSON.parse(JSON.stringify(told).replaceAll(hidden, '*'))).to.deep.equal(JSON.parse(JSON.stringify(unknown).replaceAll(absent, '*')));
        expect(told.code).to.equal('invalid_query');
      }
    }
    expect(JSON.stringify(await failure(list(ctx, { fields: ['secre'] })))).not.to.include('secret');
    expect(JSON.stringify(await failure(list(ctx, { filter: "secre == ''" })))).not.to.include('secret');
    expect(JSON.stringify(await failure(list(ctx, { fields: ['turnove'] })))).to.include('Did you mean turnover?');
  });

  it('never shows, counts or reaches rows outside the row rule', async () => {
    const ctx = user(model, ['own', 'orders']);
    expect(await ids(ctx, {})).to.deep.equal([1, 3]);
    for (const count of ['capped', 'exact', 'estimate'] as const) expect((await list(ctx, { count, limit: 1 })).meta.count).to.equal(2);
    expect(await ids(ctx, { object: 'Order', filter: "shop.city == 'Bern'" })).to.deep.equal([101, 103]);
    expect(await ids(ctx, { object: 'Order', filter: 'shop.city == null' })).to.deep.equal([102]);
    expect(await ids(ctx, { object: 'Order', fields: ['shopCity'], filter: 'shopCity == null' })).to.deep.equal([102]);
    expect((await list(ctx, { object: 'Order', fields: ['shopCity'] })).data.map((record) => record['shopCity'])).to.deep.equal(['Bern', null, 'Bern']);
    expect(await ids(user(model, ['reader', 'own-orders']), { filter: 'orders.exists(o, o.amount > 0)' })).to.deep.equal([1]);
    expect(await ids(system(model), { filter: 'orders.exists(o, o.amount > 0)' })).to.deep.equal([1, 2]);
    for (const asked of ['orders.map(o, o.amount).sum() > 0', 'orders.sum(o, o.amount, o.amount > 0) > 0', 'orders.map(o, o.amount).exists(a, a > 0)']) {
      expect(await ids(user(model, ['reader', 'own-orders']), { filter: asked }), asked).to.deep.equal([1]);
      expect(await ids(system(model), { filter: asked }), asked).to.deep.equal([1, 2]);
    }
    expect(await ids(user(model, ['own', 'own-orders'], BERT), { object: 'Order' })).to.deep.equal([102]);
  });

  it('shows and uses a field that is given for some rows in those rows only', async () => {
    const ctx = user(model, ['reader', 'own']);
    const shown = await list(ctx, { fields: ['secret', 'hint', 'name'] });
    expect(shown.data.map((record) => [record['name'], record['secret'], record['hint']])).to.deep.equal([
      ['Alpha', 's1', 's1!'],
      ['beta 2', null, null],
      ['Beta 10', 's3', 's3!'],
      ['Éclair', null, null],
      ['alpha', null, null],
      ['Zebra', null, null],
    ]);
    expect(await ids(ctx, { filter: "secret == 's2'" })).to.deep.equal([]);
    expect(await ids(ctx, { filter: "secret >= 's'" })).to.deep.equal([1, 3]);
    expect(await ids(ctx, { equals: { secret: 's9' } })).to.deep.equal([]);
    expect(await ids(ctx, { equals: { secret: 's3' } })).to.deep.equal([3]);
    expect(await ids(ctx, { sort: ['-secret'] })).to.deep.equal([3, 1, 6, 5, 4, 2]);
    expect(await ids(ctx, { filter: "hint == 's1!'" })).to.deep.equal([1]);
    const groups = await reader.aggregate(database.db, ctx, { object: 'Shop', groupBy: ['secret'], measures: [{ as: 'n', op: 'count' }] });
    expect(groups.data).to.deep.equal([
      { secret: 's1', n: 1 },
      { secret: 's3', n: 1 },
      { secret: null, n: 4 },
    ]);
    expect(await reader.get(database.db, ctx, 'Shop', id(2), { fields: ['secret'] })).to.deep.equal({ id: id(2), version: 1, secret: null });
    expect(await ids(user(model, ['reader', 'own', 'orders']), { object: 'Order', filter: "shop.secret == 's2'" })).to.deep.equal([]);
    expect(await ids(user(model, ['reader', 'own', 'orders']), { object: 'Order', filter: "shop.secret == 's1'" })).to.deep.equal([101, 103]);
  });

  it('answers byte for byte alike when only hidden data differ', async () => {
    const other = await makeTestDatabase();
    try {
      await createTables(other.db, model);
      for (const shop of SHOPS) {
        const hidden = shop.ownerId === ANNA ? {} : { secret: `other ${shop.name}` };
        await insert(other.db, model, 'Shop', { ...shop, ...hidden });
      }
      await insert(other.db, model, 'Secretum', { id: id(202), text: 'Alpha beta', shop: id(3) });
      const ctx = user(model, ['reader', 'own']);
      const asks: readonly Omit<ReadQuery, 'object'>[] = [
        {},
        { sort: ['secret'], limit: 2, count: 'exact' },
        { sort: ['-hint', 'name'].slice(1), filter: "hint != 's1!'" },
        { filter: "secret != 's2'", count: 'capped' },
        { search: 'a' },
      ];
      for (const ask of asks) {
        const here = JSON.stringify(await listRecords(database.db, ctx, { object: 'Shop', ...ask }));
        expect(JSON.stringify(await listRecords(other.db, ctx, { object: 'Shop', ...ask }))).to.equal(here);
      }
      expect(JSON.stringify(await reader.search(other.db, ctx, 'alpha'))).to.equal(JSON.stringify(await reader.search(database.db, ctx, 'alpha')));
    } finally {
      await other.drop();
    }
  });

  it('is deaf to SQL in names, values, sorts and searches', async () => {
    const ctx = user(model, ['reader', 'own']);
    const payloads = [
      `"; drop table x; --`,
      `name" or "1"="1`,
      `' or ''='`,
      '?',
      '$1',
      '??',
      ':name',
      '\\',
      '%',
      '_',
      `a?b'c"d\\e`,
      '\u0000',
      '{{zz}}',
      '__proto__',
      'constructor',
      'toString',
    ];
    for (const payload of payloads) {
      for (const ask of [
        { sort: [payload] },
        { fields: [payload] },
        { expand: [payload] },
        { filter: payload },
        { equals: Object.fromEntries([[payload, 'x']]) },
        { cursor: payload },
      ]) {
        expect((await failure(list(ctx, ask))).code, JSON.stringify(ask)).to.equal('invalid_query');
      }
      if (payload === '\u0000') continue;
      expect(await ids(ctx, { equals: { name: payload } })).to.deep.equal([]);
      if (!payload.includes('%') && payload !== '_') expect(await ids(ctx, { search: payload })).to.deep.equal([]);
      expect(await ids(ctx, { filter: `name == ${JSON.stringify(payload)}` })).to.deep.equal([]);
    }
    expect(await ids(ctx, {})).to.have.length(6);
  });

  it('expands references and to-many paths as far as the caller may read', async () => {
    const shops = await list(user(model, ['own', 'orders']), { fields: ['name'], expand: ['orders', 'ownerId'] });
    expect(shops.data.map((record) => record['expanded'])).to.deep.equal([
      {
        orders: { data: [101, 103].map((number) => ({ ...orderOf(number), displayName: `A-${number - 100} of Alpha (Bern)` })), more: false },
        ownerId: null,
      },
      { orders: { data: [], more: false }, ownerId: null },
    ]);
    const orders = await list(user(model, ['own', 'orders']), { object: 'Order', fields: ['number'], expand: ['shop', 'about'] });
    expect(orders.data.map((record) => shorten(record['expanded']))).to.deep.equal([
      { shop: 'Alpha (Bern)', about: null },
      { shop: null, about: null },
      { shop: 'Alpha (Bern)', about: null },
    ]);
    const all = await list(system(model), { object: 'Order', fields: ['number'], expand: ['about'] });
    expect(all.data.map((record) => shorten(record['expanded']))).to.deep.equal([{ about: 'beta 2 (Bern)' }, { about: 'hush' }, { about: null }]);
    expect(JSON.stringify(await failure(list(user(model, ['own', 'orders']), { expand: ['secreta'] }))).replaceAll('secreta', '*')).to.equal(
      JSON.stringify(await failure(list(user(model, ['own', 'orders']), { expand: ['qzqzqzq'] }))).replaceAll('qzqzqzq', '*'),
    );
  });

  function orderOf(number: number): Record<string, unknown> {
    return {
      id: id(number),
      version: 1,
      createdAt: '2026-01-01T00:00:00.000Z',
      createdBy: 'system:test',
      updatedAt: '2026-01-01T00:00:00.000Z',
      updatedBy: 'system:test',
      ownerId: null,
      number: `A-${number - 100}`,
      shop: id(1),
      amount: number === 101 ? '5' : '0.125',
      shopCity: 'Bern',
      about: number === 101 ? { object: 'Shop', id: id(2) } : null,
    };
  }

  function shorten(expanded: unknown): Record<string, unknown> {
    if (typeof expanded !== 'object' || expanded === null) return {};
    return Object.fromEntries(
      Object.entries(expanded).map(([name, record]) => [
        name,
        typeof record === 'object' && record !== null && 'displayName' in record ? record.displayName : record,
      ]),
    );
  }
});
