import { expect } from 'chai';
import fc from 'fast-check';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { at } from '../../support/app.ts';
import { failure, makeShops, type Shops } from './shops.ts';
import { id, insert, system, user } from './support.ts';

/** Every relation of the small model, by object. */
const RELATIONS: Readonly<Record<string, readonly string[]>> = {
  Shop: ['orders', 'mentions', 'secreta'],
  Order: ['shop', 'about'],
  Secretum: ['shop', 'mentions'],
};
const LEADS: Readonly<Record<string, readonly string[]>> = {
  'Shop.orders': ['Order'],
  'Shop.mentions': ['Order'],
  'Shop.secreta': ['Secretum'],
  'Order.shop': ['Shop'],
  'Order.about': ['Shop', 'Secretum'],
  'Secretum.shop': ['Shop'],
  'Secretum.mentions': ['Order'],
};

/** Paths of one to four relations that exist for somebody who sees these objects. */
const paths = (objects: readonly string[], seen: readonly string[], depth: number): fc.Arbitrary<string> => {
  const leads = (object: string, name: string): readonly string[] => (LEADS[`${object}.${name}`] ?? []).filter((target) => seen.includes(target));
  const names = [...new Set(objects.flatMap((object) => (RELATIONS[object] ?? []).filter((name) => leads(object, name).length > 0)))];
  return fc.constantFrom(...names).chain((name) => {
    if (depth === 1) return fc.constant(name);
    const next = objects.flatMap((object) => leads(object, name));
    return fc.option(paths(next, seen, depth - 1), { nil: null, freq: 4 }).map((rest) => (rest === null ? name : `${name}.${rest}`));
  });
};

describe('expanding relations of several levels', () => {
  const reader = makeReader();
  let shops: Shops;
  before(async () => {
    shops = await makeShops();
    const { database, model } = shops;
    for (let number = 0; number < 30; number += 1) {
      const about = number % 3 === 0 ? null : number % 3 === 1 ? { object: 'Shop', id: id(1 + (number % 6)) } : { object: 'Secretum', id: id(201) };
      await insert(database.db, model, 'Order', { id: id(110 + number), number: `B-${String(number)}`, shop: id(1 + (number % 8)), amount: '1', about });
    }
  });
  after(() => shops.database.drop());

  /** The same by reading one record after the other, one level each. */
  async function naive(ctx: CallContext, object: string, recordId: string, wanted: readonly string[]): Promise<unknown> {
    const firsts = [...new Set(wanted.map((path) => path.split('.')[0] ?? ''))];
    const known = RELATIONS[object] ?? [];
    const own = firsts.filter((name) => known.includes(name));
    if (own.length === 0) return { ...(await reader.get(shops.database.db, ctx, object, recordId)), displayName: await nameOf(ctx, object, recordId) };
    const record = await reader.get(shops.database.db, ctx, object, recordId, { expand: own });
    const expanded: Record<string, unknown> = {};
    for (const name of own) {
      const rest = wanted.filter((path) => path.startsWith(`${name}.`)).map((path) => path.slice(name.length + 1));
      const value = at(record['expanded'], name);
      const list = at(value, 'data');
      const follow = (found: unknown): Promise<unknown> => naive(ctx, objectOf(object, name, record[name]), String(at(found, 'id')), rest);
      if (Array.isArray(list)) expanded[name] = { data: await Promise.all(list.map(follow)), more: at(value, 'more') };
      else expanded[name] = value === null ? null : await follow(value);
    }
    const plain = { ...record, displayName: await nameOf(ctx, object, recordId) };
    return { ...plain, expanded };
  }

  const nameOf = async (ctx: CallContext, object: string, recordId: string): Promise<unknown> =>
    (await reader.get(shops.database.db, ctx, object, recordId, { fields: ['displayName'] }))['displayName'];

  function objectOf(object: string, relation: string, value: unknown): string {
    const to = at(value, 'object');
    return typeof to === 'string' ? to : (LEADS[`${object}.${relation}`]?.[0] ?? '');
  }

  /** Without `expanded` where nothing was asked for: what a naive walk leaves behind at its ends. */
  function trimmed(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(trimmed);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, member]) => (key === 'expanded' && Object.keys(Object(member)).length === 0 ? [] : [[key, trimmed(member)]])),
    );
  }

  it('answers what reading each record by itself answers, for random relations and callers', async () => {
    const callers: readonly (readonly [CallContext, readonly string[]])[] = [
      [system(shops.model), ['Shop', 'Order', 'Secretum']],
      [user(shops.model, ['own', 'own-orders']), ['Shop', 'Order']],
    ];
    for (const [ctx, seen] of callers) {
      await fc.assert(
        fc.asyncProperty(fc.array(paths(['Shop'], seen, 4), { minLength: 1, maxLength: 4 }), async (expand) => {
          const listed = await shops.list(ctx, { fields: ['displayName', 'name'], expand });
          for (const record of listed.data) {
            const whole = await naive(ctx, 'Shop', record.id, expand);
            expect(trimmed(record['expanded'])).to.deep.equal(trimmed(at(whole, 'expanded')));
          }
        }),
        { numRuns: 40 },
      );
    }
  }).timeout(120_000);

  it('takes one statement a relation and target, whatever the number of records', async () => {
    const statements = async (limit: number): Promise<number> => {
      let count = 0;
      await shops.database.db.transaction(async (tx) => {
        tx.on('query', () => (count += 1));
        await reader.list(tx, system(shops.model), {
          object: 'Shop',
          fields: ['name'],
          expand: ['orders.about.mentions', 'orders.shop', 'secreta'],
          sort: ['createdAt'],
          limit,
        });
      });
      return count;
    };
    const [one, many] = [await statements(1), await statements(6)];
    expect(many).to.be.at.least(6);
    expect(many).to.equal(one);
  });

  it('refuses what is too deep, too much or not there, at its place', async () => {
    const ctx = user(shops.model, ['own', 'orders']);
    const refused = (expand: readonly string[]): Promise<unknown> => failure(shops.list(ctx, { expand })).then(({ errors }) => errors);
    expect(await refused(['orders', 'orders.shop.orders.shop.orders.shop'])).to.have.nested.property('0.pointer', '/expand/1');
    expect(await refused(['orders.shop', 'orders.nobody'])).to.have.nested.property('0.pointer', '/expand/1');
    expect(JSON.stringify(await refused(['orders.shop.secreta'])).replaceAll('secreta', '*')).to.equal(
      JSON.stringify(await refused(['orders.shop.nothing'])).replaceAll('nothing', '*'),
    );
    expect(await refused(['orders.about.text'])).to.have.length(1);
    const wide = Array.from({ length: 21 }, (_, index) => `orders.${'shop.orders.'.repeat(index % 2)}r${String(index)}`);
    expect(await refused(wide)).to.have.nested.property('0.detail', 'At most 20 relations can be expanded.');
  });
});
