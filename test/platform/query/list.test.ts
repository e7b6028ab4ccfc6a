import { expect } from 'chai';
import fc from 'fast-check';
import { sortKey } from '../../../src/platform/expression/sort-key.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { ReadQuery, RecordData } from '../../../src/platform/query/types.ts';
import { getSql, listRecords } from '../../../src/platform/query/list.ts';
import { openSource, selectFields } from '../../../src/platform/query/source.ts';
import type { TestDatabase } from '../../support/database.ts';
import { failure, makeShops, type Shops } from './shops.ts';
import { ANNA, id, system, user } from './support.ts';

describe('list and get', () => {
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
});
