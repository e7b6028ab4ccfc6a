import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { aggregateRecords } from '../../../src/platform/query/aggregate.ts';
import { listRecords } from '../../../src/platform/query/list.ts';
import { searchesFor, searchPlan } from '../../../src/platform/query/search-plan.ts';
import { searchRecords } from '../../../src/platform/query/search.ts';
import { sighted } from '../../../src/platform/query/sight.sql.ts';
import { openSource } from '../../../src/platform/query/source.ts';
import { ident, rowArrays, run, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, TEST_SCHEMA, type TestDatabase } from '../../support/database.ts';
import { ANNA, BERT, createTables, id, insert, smallModel, smallSet, staffSet, user } from './support.ts';

const SETS = [
  staffSet('own', { Order: { read: { where: 'ownerId == user || shop.ownerId == user' }, fields: ['*', 'margin'] } }),
  staffSet('mentioned', { Order: { read: { where: 'shop.orders.exists(o, o.ownerId == user)' }, fields: ['number', 'shop'] } }),
  staffSet('cheap', { Order: { read: { where: 'amount < 5' } } }),
  staffSet('one', { Order: { read: { where: 'ownerId == user' } } }),
  staffSet('shops', { Shop: { read: true } }),
];

describe('rows that a caller sees few of', () => {
  let database: TestDatabase;
  let model: Model;
  const at = (ctx: CallContext, minute: number): CallContext => ({ ...ctx, now: `2026-03-01T12:${String(minute).padStart(2, '0')}:00.000Z` });
  const numbers = async (ctx: CallContext): Promise<readonly unknown[]> =>
    (await listRecords(database.db, ctx, { object: 'Order', fields: ['number', 'margin'], sort: ['number'], count: 'exact', limit: 500 })).data.map((order) => [
      order['number'],
      order['margin'],
    ]);

  before(async () => {
    model = smallModel(SETS, smallSet(SETS));
    database = await makeTestDatabase();
    await createTables(database.db, model);
    for (const [number, ownerId] of [ANNA, BERT].entries())
      await insert(database.db, model, 'Shop', { id: id(number + 1), name: `Shop ${String(number)}`, ownerId });
    for (let number = 1; number <= 40; number += 1) {
      const ownerId = number % 7 === 0 ? ANNA : number % 3 === 0 ? BERT : null;
      await insert(database.db, model, 'Order', {
        id: id(100 + number),
        number: `A-${String(number)}`,
        shop: id(1 + (number % 2)),
        amount: String(number),
        margin: '1',
        ownerId,
      });
    }
  });
  after(() => database.drop());

  it('are looked for first where each part of the rules is about the caller, and nowhere else', async () => {
    const isNarrow = async (sets: readonly string[]): Promise<boolean> =>
      (await sighted(database.db, user(model, sets), 'Order')).narrow?.has('Order') === true;
    expect([await isNarrow(['own']), await isNarrow(['own', 'mentioned'])]).to.deep.equal([true, true]);
    expect([await isNarrow(['own', 'cheap']), await isNarrow(['cheap']), await isNarrow(['one'])]).to.deep.equal([false, false, false]);
    const ctx = await sighted(database.db, user(model, ['own']), 'Order');
    expect(
      openSource(ctx, 'Order')
        .where.map(({ text }) => text)
        .join(),
    ).to.include(' union all ');
    // A short page of a large table is met along the index sooner.
    await run(database.db, sql`analyze`);
    const later = at(user(model, ['own'], BERT), 30);
    const isFor = async (wanted: number): Promise<boolean> => (await sighted(database.db, later, 'Order', wanted)).narrow !== undefined;
    expect([await isFor(1), await isFor(500)]).to.deep.equal([false, true]);
    expect((await sighted(database.db, user(model, ['own']), 'Nothing')).narrow).to.equal(undefined);
  });

  it('are the same rows with the same fields as without', async () => {
    for (const sets of [['own'], ['own', 'mentioned'], ['own', 'mentioned', 'shops']]) {
      for (const caller of [ANNA, BERT]) {
        const ctx = user(model, sets, caller);
        const found = await numbers(ctx);
        expect(found.length).to.be.within(10, 40);
        // The system sees all; what of it holds by the rules, worked out here.
        const own = Array.from({ length: 40 }, (_, index) => index + 1).filter((number) => {
          const ownerId = number % 7 === 0 ? ANNA : number % 3 === 0 ? BERT : null;
          return ownerId === caller || [ANNA, BERT][number % 2] === caller;
        });
        const open = found.filter((entry) => Array.isArray(entry) && entry[1] === '1');
        expect(open.length, `${sets.join()} ${caller}`).to.equal(own.length);
        if (!sets.includes('mentioned')) expect(found.length).to.equal(own.length);
        const summed = await aggregateRecords(database.db, ctx, { object: 'Order', measures: [{ as: 'n', op: 'count' }] });
        expect(summed.data).to.deep.equal([{ n: found.length }]);
      }
    }
  });

  it('are found alike by a search for what few entries hold and for what many do', async () => {
    const found = (ctx: CallContext, text = 'a-3') => searchRecords(database.db, ctx, text, { objects: ['Order'] });
    const fewSets = ['own', 'mentioned', 'shops'];
    const givesUp = async (ctx: CallContext): Promise<boolean> => {
      const { statement, values } = searchPlan(ctx, searchesFor('a-3', ['Order'], 20, new Map()).exact, true);
      return (await rowArrays(database.db, statement, values))[0]?.[0] === null;
    };
    const callers = [user(model, ['own'], ANNA), user(model, ['own'], BERT), user(model, fewSets, ANNA), user(model, fewSets, BERT)];
    const before = await Promise.all(callers.map((ctx) => found(ctx)));
    // whose order it is or whose shop.
    const own = (caller: string): readonly string[] =>
      [3, ...Array.from({ length: 10 }, (_, index) => 30 + index)].flatMap((number) => {
        const ownerId = number % 7 === 0 ? ANNA : number % 3 === 0 ? BERT : null;
        return ownerId === caller || [ANNA, BERT][number % 2] === caller ? [id(100 + number)] : [];
      });
    expect([before[0], before[1]].map((hits) => hits?.map((hit) => hit.id))).to.deep.equal([own(ANNA), own(BERT)]);
    expect(before[2]?.[0]?.name).to.match(/^A-3.* of Shop/);
    for (const ctx of callers) expect(await givesUp(ctx)).to.equal(false);
    // Of records that nobody but the system sees: orders of no shop and no owner.
    const table = ident(TEST_SCHEMA, model.objects.get('Order')?.table ?? '');
    await run(
      database.db,
      sql`with o as (insert into ${table} (id, version, created_at, created_by, updated_at, updated_by) select gen_random_uuid(), 1, now(), 'x', now(), 'x' from generate_series(1, 600) returning id)
          insert into ${ident(TEST_SCHEMA, 'search_entry')} (object, record_id, class, keys) select 'Order', id, 'open', 'a-3' from o`,
    );
    for (const ctx of callers) expect(await givesUp(ctx)).to.equal(true);
    expect(await Promise.all(callers.map((ctx) => found(ctx)))).to.deep.equal(before);
    expect(await found(callers[0] ?? user(model, ['own']), 'nowhere')).to.deep.equal([]);
  });

  it('are those of the moment, though it is kept for a minute that they are few', async () => {
    const ctx = user(model, ['own'], ANNA);
    const before = (await numbers(at(ctx, 10))).length;
    await insert(database.db, model, 'Order', { id: id(900), number: 'A-900', shop: id(2), amount: '1', ownerId: ANNA });
    expect((await numbers(at(ctx, 10))).length).to.equal(before + 1);
    const table = ident(TEST_SCHEMA, model.objects.get('Order')?.table ?? '');
    await run(
      database.db,
      sql`insert into ${table} (id, version, created_at, created_by, updated_at, updated_by, owner_id) select gen_random_uuid(), 1, now(), 'x', now(), 'x', ${ANNA}::uuid from generate_series(1, 5000)`,
    );
    const many = { object: 'Order', measures: [{ as: 'n', op: 'count' as const }] };
    for (const minute of [10, 12]) expect((await aggregateRecords(database.db, at(ctx, minute), many)).data).to.deep.equal([{ n: before + 5_001 }]);
    expect((await sighted(database.db, at(ctx, 12), 'Order')).narrow).to.equal(undefined);
  });
});
