import { expect } from 'chai';
import fc from 'fast-check';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { sortKey } from '../../../src/platform/expression/sort-key.ts';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { getSql, listRecords } from '../../../src/platform/query/list.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { openSource, selectFields } from '../../../src/platform/query/source.ts';
import type { ReadQuery, RecordData } from '../../../src/platform/query/types.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ANNA, BERT, createTables, id, insert, smallModel, smallSet, staffSet, system, user } from './support.ts';

const SETS = [
  staffSet('reader', { Shop: { read: true } }),
  staffSet('own', { Shop: { read: { where: 'ownerId == user' }, fields: ['*', 'secret'] } }),
  staffSet('orders', { Order: { read: true } }),
  staffSet('own-orders', { Order: { read: { where: 'shop.ownerId == user' } } }),
  staffSet('keeper', { Shop: { read: true, delete: { where: 'ownerId == user' } } }),
];

const SHOPS = [
  {
    id: id(1),
    name: 'Alpha',
    city: 'Bern',
    stage: 'new',
    code: 'X-1',
    turnover: '10.50',
    secret: 's1',
    rank: 3,
    opened: '2024-02-29',
    isOpen: true,
    seen: '2026-01-01T08:00:00.123Z',
    tags: ['a', 'b'],
    note: 'quiet',
    ownerId: ANNA,
  },
  {
    id: id(2),
    name: 'beta 2',
    city: 'Bern',
    stage: 'won',
    code: '50%_off',
    turnover: null,
    secret: 's2',
    rank: null,
    opened: null,
    isOpen: null,
    seen: null,
    tags: null,
    note: null,
    ownerId: BERT,
  },
  {
    id: id(3),
    name: 'Beta 10',
    city: null,
    stage: 'won',
    code: null,
    turnover: '7',
    secret: 's3',
    rank: 3,
    opened: '2024-02-28',
    isOpen: false,
    seen: '2026-01-01T08:00:00.124Z',
    tags: ['b'],
    note: null,
    ownerId: ANNA,
  },
  {
    id: id(4),
    name: 'Éclair',
    city: 'Zug',
    stage: null,
    code: 'X-10',
    turnover: '7',
    secret: null,
    rank: 1,
    opened: '2024-02-29',
    isOpen: true,
    seen: null,
    tags: null,
    note: null,
    ownerId: BERT,
  },
  {
    id: id(5),
    name: 'alpha',
    city: 'aarau',
    stage: 'lost',
    code: null,
    turnover: null,
    secret: 's2',
    rank: null,
    opened: null,
    isOpen: null,
    seen: null,
    tags: null,
    note: null,
    ownerId: null,
  },
  {
    id: id(6),
    name: 'Zebra',
    city: null,
    stage: 'new',
    code: null,
    turnover: '-1',
    secret: 's9',
    rank: 3,
    opened: '1999-12-31',
    isOpen: false,
    seen: '2026-01-01T08:00:00.123Z',
    tags: null,
    note: null,
    ownerId: null,
  },
];

describe('list and get', () => {
  const reader = makeReader();
  let database: TestDatabase;
  let model: Model;
  let set: MetadataSet;

  before(async () => {
    set = smallSet(SETS);
    model = smallModel(SETS, set);
    database = await makeTestDatabase();
    await createTables(database.db, model);
    for (const shop of SHOPS) await insert(database.db, model, 'Shop', shop);
    await insert(database.db, model, 'Shop', { id: id(7), name: 'Gone', ownerId: ANNA, deletedAt: '2026-02-01T00:00:00Z' });
    await insert(database.db, model, 'Shop', { id: id(8), name: 'Gone too', ownerId: BERT, deletedAt: '2026-02-01T00:00:00Z' });
    await insert(database.db, model, 'Order', { id: id(101), number: 'A-1', shop: id(1), amount: '5', margin: '1', about: { object: 'Shop', id: id(2) } });
    await insert(database.db, model, 'Order', {
      id: id(102),
      number: 'A-2',
      shop: id(2),
      amount: '50',
      margin: '2',
      about: { object: 'Secretum', id: id(201) },
    });
    await insert(database.db, model, 'Order', { id: id(103), number: 'A-3', shop: id(1), amount: '0.125', margin: '3' });
    await insert(database.db, model, 'Secretum', { id: id(201), text: 'hush', shop: id(1) });
  });
  after(() => database.drop());

  const list = (ctx: CallContext, query: Omit<ReadQuery, 'object'> & { readonly object?: string }) =>
    listRecords(database.db, ctx, { object: 'Shop', ...query });
  const ids = async (ctx: CallContext, query: Omit<ReadQuery, 'object'> & { readonly object?: string }): Promise<readonly number[]> =>
    (await list(ctx, query)).data.map((record) => Number(record.id.slice(-6)));
  const failure = async (work: Promise<unknown>): Promise<{ readonly code: string; readonly message: string; readonly errors: unknown }> => {
    try {
      await work;
    } catch (error) {
      if (isAppError(error)) return { code: error.code, message: error.message, errors: error.errors };
      throw error;
    }
    throw new Error('It did not fail.');
  };

  it('answers records in the form of the API', async () => {
    const record = await reader.get(database.db, system(model), 'Shop', id(1));
    expect(record).to.deep.equal({
      id: id(1),
      version: 1,
      createdAt: '2026-01-01T00:00:00.000Z',
      createdBy: 'system:test',
      updatedAt: '2026-01-01T00:00:00.000Z',
      updatedBy: 'system:test',
      ownerId: ANNA,
      name: 'Alpha',
      city: 'Bern',
      stage: 'new',
      code: 'X-1',
      turnover: '10.50',
      secret: 's1',
      rank: 3,
      opened: '2024-02-29',
      tags: ['a', 'b'],
      isOpen: true,
      seen: '2026-01-01T08:00:00.123Z',
      note: 'quiet',
      half: '5.25',
      hint: 's1!',
    });
    const order = await reader.get(database.db, system(model), 'Order', id(101), { fields: ['about', 'shopCity', 'displayName'] });
    expect(order).to.deep.equal({ id: id(101), version: 1, about: { object: 'Shop', id: id(2) }, shopCity: 'Bern', displayName: 'A-1 of Alpha (Bern)' });
  });

  it('reads one record with one statement that holds the row rule', async () => {
    const ctx = user(model, ['own']);
    const source = openSource(ctx, 'Shop');
    const statement = getSql(source, selectFields(source, ['name']).fields, id(1));
    const shop = model.objects.get('Shop');
    const column = shop?.fields.get('name')?.column ?? '';
    expect(statement.text.replaceAll(/\s+/g, ' ')).to.match(
      new RegExp(
        `^select "t"."id" as "v0", "t"."version" as "v1", "t"."${column}" as "v2" from "credenza"."${shop?.table ?? ''}" as "t" where "t"."deleted_at" is null and \\(.*"t"."owner_id".*\\) and "t"."id" = \\?::uuid$`,
      ),
    );
    expect(statement.values).to.include(id(1)).and.include(ANNA);
    expect(await reader.get(database.db, ctx, 'Shop', id(1), { fields: ['name'] })).to.deep.equal({ id: id(1), version: 1, name: 'Alpha' });
    expect((await failure(reader.get(database.db, ctx, 'Shop', id(2)))).code).to.equal('not_found');
  });

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

  it('walks every order to its end without skipping or repeating, nulls last both ways', async () => {
    const ctx = system(model);
    const key = (record: RecordData, name: string): string | number | null => {
      const value = record[name];
      if (value === null || value === undefined) return null;
      if (name === 'turnover' || name === 'half') return Number(value);
      if (typeof value === 'boolean') return value ? 1 : 0;
      return typeof value === 'number' ? value : name === 'name' || name === 'city' || name === 'stage' ? sortKey(String(value)) : String(value);
    };
    const everything = (await list(ctx, {})).data;
    const fields = ['name', 'city', 'stage', 'turnover', 'rank', 'opened', 'isOpen', 'seen', 'half', 'createdAt', 'version', 'id'];
    const orders = fc.uniqueArray(fc.record({ field: fc.constantFrom(...fields), down: fc.boolean() }), {
      minLength: 1,
      maxLength: 3,
      selector: (entry) => entry.field,
    });
    await fc.assert(
      fc.asyncProperty(orders, fc.integer({ min: 1, max: 4 }), async (order, limit) => {
        const sort = order.map((entry) => `${entry.down ? '-' : ''}${entry.field}`);
        const all = order.some((entry) => entry.field === 'id') ? order : [...order, { field: 'id', down: order.at(-1)?.down === true }];
        const expected = [...everything].sort((a, b) => {
          for (const { field, down } of all) {
            const [x, y] = [key(a, field), key(b, field)];
            if (x === y) continue;
            if (x === null) return 1;
            if (y === null) return -1;
            return (x < y ? -1 : 1) * (down ? -1 : 1);
          }
          return 0;
        });
        const walked: string[] = [];
        let cursor: string | undefined;
        for (let page = 0; page < 10; page += 1) {
          const answer = await list(ctx, { sort, limit, ...(cursor === undefined ? {} : { cursor }) });
          walked.push(...answer.data.map((record) => record.id));
          if (answer.page.next === null) break;
          cursor = answer.page.next;
        }
        expect(walked).to.deep.equal(expected.map((record) => record.id));
      }),
      { numRuns: 60 },
    );
  });

  it('takes a cursor only for the list that it was made for', async () => {
    const ctx = system(model);
    const { page } = await list(ctx, { sort: ['rank'], limit: 2 });
    const cursor = page.next ?? '';
    expect((await failure(list(ctx, { sort: ['-rank'], cursor }))).message).to.include('another list');
    expect((await failure(list(ctx, { sort: ['rank'], filter: 'rank > 0', cursor }))).message).to.include('another list');
    const [format, hash] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [number, string];
    const forged = (...position: readonly unknown[]): string => Buffer.from(JSON.stringify([format, hash, ...position])).toString('base64url');
    for (const wrong of [
      '',
      'x',
      '!!',
      '%00',
      'bnVsbA',
      forged('1'),
      forged("1' or '1'='1", id(1)),
      forged('1', "x'"),
      forged(1, id(1)),
      forged('1', null),
      forged('NaN', id(1)),
      forged({ a: 1 }, id(1)),
      'e'.repeat(5000),
    ]) {
      expect((await failure(list(ctx, { sort: ['rank'], cursor: wrong }))).code, wrong).to.equal('invalid_query');
    }
  });

  it('compares simple equalities by the type of the field', async () => {
    const ctx = system(model);
    expect(await ids(ctx, { equals: { rank: '3' } })).to.deep.equal([1, 3, 6]);
    expect(await ids(ctx, { equals: { rank: 3, isOpen: 'false' } })).to.deep.equal([3, 6]);
    expect(await ids(ctx, { equals: { turnover: '7.00' } })).to.deep.equal([3, 4]);
    expect(await ids(ctx, { equals: { opened: '2024-02-29' } })).to.deep.equal([1, 4]);
    expect(await ids(ctx, { equals: { seen: '2026-01-01T08:00:00.123Z' } })).to.deep.equal([1, 6]);
    expect(await ids(ctx, { equals: { tags: 'b' } })).to.deep.equal([1, 3]);
    expect(await ids(ctx, { equals: { half: '3.5' } })).to.deep.equal([3, 4]);
    expect(await ids(ctx, { equals: { ownerId: ANNA.toUpperCase() } })).to.deep.equal([1, 3]);
    expect(await ids(ctx, { equals: { city: null } })).to.deep.equal([3, 6]);
    expect(await ids(ctx, { equals: { stage: 'won' }, filter: "city == 'Bern'" })).to.deep.equal([2]);
    for (const equals of [{ rank: 'three' }, { opened: '2023-02-29' }, { seen: 'yesterday' }, { ownerId: 'anna' }, { isOpen: 'maybe' }, { name: 'a\u0000b' }]) {
      expect((await failure(list(ctx, { equals }))).code).to.equal('invalid_query');
    }
    expect(JSON.stringify(await failure(list(ctx, { equals: { stage: 'wonn' } })))).to.include('Did you mean won?');
  });

  it('says where a filter is wrong and what was meant', async () => {
    const wrong = await failure(list(system(model), { filter: "stage == 'won' && turnove > 3" }));
    expect(wrong.code).to.equal('invalid_query');
    expect(wrong.message)
      .to.match(/turnove/)
      .and.match(/turnover/)
      .and.match(/column 19/);
    for (const filter of ['rank', 'rank = 3', "name.foo('x')", 'rank > "a"', "matches(name, 'a')"])
      expect((await failure(list(system(model), { filter }))).code).to.equal('invalid_query');
  });

  it('refuses what it does not understand', async () => {
    const ctx = system(model);
    const asks: readonly Omit<ReadQuery, 'object'>[] = [
      { limit: 0 },
      { limit: 501 },
      { limit: 1.5 },
      { sort: ['name', 'name'] },
      { sort: ['note'] },
      { sort: ['tags'] },
      { sort: ['about'] },
      { sort: ['name', 'city', 'rank', 'stage', 'id'] },
      { expand: ['name'] },
      { expand: ['nobody'] },
    ];
    for (const ask of asks) expect((await failure(list(ctx, ask))).code, JSON.stringify(ask)).to.equal('invalid_query');
    expect((await failure(listRecords(database.db, ctx, { object: 'Nothing' }))).code).to.equal('not_found');
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
      '{{x}}',
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

  it('searches words in the open fields, wildcards taken as text', async () => {
    const ctx = user(model, ['reader']);
    expect(await ids(ctx, { search: 'alph' })).to.deep.equal([1, 5]);
    expect(await ids(ctx, { search: 'ECLAIR' })).to.deep.equal([4]);
    expect(await ids(ctx, { search: 'beta 10' })).to.deep.equal([3]);
    expect(await ids(ctx, { search: '50%_' })).to.deep.equal([2]);
    expect(await ids(ctx, { search: '%' })).to.deep.equal([]);
    expect(await ids(ctx, { search: 'x-1' })).to.deep.equal([1, 4]);
    expect(await ids(ctx, { search: 's1' })).to.deep.equal([]);
    expect(await ids(ctx, { search: 'al', filter: "city == 'Bern'" })).to.deep.equal([1]);
  });

  it('opens the trash to those who may delete, for what they may delete', async () => {
    expect(await ids(user(model, ['keeper']), { trash: true })).to.deep.equal([7]);
    expect(await ids(system(model), { trash: true })).to.deep.equal([7, 8]);
    expect((await failure(list(user(model, ['reader']), { trash: true }))).code).to.equal('forbidden');
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
