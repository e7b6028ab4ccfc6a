import { expect } from 'chai';
import type { Model } from '../../../src/platform/model/types.ts';
import { getRecord } from '../../../src/platform/query/list.ts';
import { makePlanCache } from '../../../src/platform/query/plan-cache.ts';
import type { TestDatabase } from '../../support/database.ts';
import { failure, makeShops, type Shops } from './shops.ts';
import { ANNA, BERT, id, system, user } from './support.ts';

describe('kept plans of reads', () => {
  let shops: Shops;
  let database: TestDatabase;
  let model: Model;

  before(async () => {
    shops = await makeShops();
    ({ database, model } = shops);
  });
  after(() => database.drop());

  it('are made once for callers with the same sets, in whatever order they hold them', () => {
    const plans = makePlanCache<{ readonly made: number }>();
    let made = 0;
    const plan = (sets: readonly string[], by: string) => plans(user(model, sets, by), 'x', () => ({ made: (made += 1) })).made;
    expect([plan(['reader', 'own'], ANNA), plan(['own', 'reader'], BERT), plan(['reader'], ANNA), plan(['reader'], BERT)]).to.deep.equal([1, 1, 2, 2]);
  });

  it('are made anew when they looked at the clock or at what an account is called', () => {
    const looks: readonly ((ctx: ReturnType<typeof user>) => unknown)[] = [
      (ctx) => ctx.now,
      (ctx) => ctx.today,
      (ctx) => (ctx.principal.kind === 'user' ? ctx.principal.email : null),
      (ctx) => (ctx.principal.kind === 'user' ? ctx.principal.name : null),
    ];
    for (const look of looks) {
      const plans = makePlanCache<{ readonly saw: unknown }>();
      const plan = () => plans(user(model, ['reader']), 'x', (planning) => ({ saw: look(planning) }));
      const first = plan();
      expect(plan()).to.not.equal(first);
      expect(plan()).to.deep.equal(first);
    }
  });

  it('are kept for one caller alone when they looked at who that is', () => {
    const plans = makePlanCache<{ readonly saw: string }>();
    const plan = (by: string, narrow?: ReadonlySet<string>) =>
      plans({ ...user(model, ['reader'], by), ...(narrow === undefined ? {} : { narrow }) }, 'x', ({ principal }) => ({
        saw: principal.kind === 'user' ? principal.userId : '',
      }));
    const first = plan(ANNA);
    expect([first.saw, plan(BERT).saw, plan(ANNA).saw]).to.deep.equal([ANNA, BERT, ANNA]);
    expect(plan(ANNA)).to.equal(first);
    expect(plan(ANNA, new Set(['Shop']))).not.to.equal(first);
  });

  it('never carry one caller into the answer of another', async () => {
    for (const [caller, own, other] of [
      [ANNA, [1, 3], 2],
      [BERT, [2, 4], 1],
      [ANNA, [1, 3], 4],
    ] as const) {
      const ctx = user(model, ['own'], caller);
      expect(await shops.ids(ctx, { sort: ['id'] })).to.deep.equal(own);
      expect((await getRecord(database.db, ctx, 'Shop', id(own[0]))).id).to.equal(id(own[0]));
      expect((await failure(getRecord(database.db, ctx, 'Shop', id(other)))).code).to.equal('not_found');
      const all = user(model, ['reader'], caller);
      expect(await shops.ids(all, { filter: 'ownerId == user', sort: ['id'] })).to.deep.equal(own);
    }
  });

  it('never carry one day into the answer of another', async () => {
    const query = { filter: 'opened >= addDays(today(), -1)', sort: ['id'] };
    const at = (today: string) => shops.ids({ ...system(model), now: `${today}T12:00:00.000Z`, today }, query);
    expect([await at('2024-02-29'), await at('2024-03-01'), await at('2024-03-02'), await at('2024-02-29')]).to.deep.equal([[1, 3, 4], [1, 4], [], [1, 3, 4]]);
  });

  it('leave limit, cursor and id of each call open', async () => {
    const ctx = system(model);
    const sizes = await Promise.all([1, 3, 2].map(async (limit) => (await shops.list(ctx, { limit, sort: ['name'] })).data.length));
    expect(sizes).to.deep.equal([1, 3, 2]);
    const names = await Promise.all([1, 2, 1].map(async (number) => (await getRecord(database.db, ctx, 'Shop', id(number)))['name']));
    expect(names).to.deep.equal(['Alpha', 'beta 2', 'Alpha']);
  });
});
