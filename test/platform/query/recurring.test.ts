import { expect } from 'chai';
import { runRecurring } from '../../../src/platform/query/recurring.ts';
import { ready, rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

describe('statements that recur', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase({ poolSize: 1 });
  });
  after(() => database.drop());

  /** How often each prepared statement of this kind was run on the one connection. */
  const runs = async (): Promise<readonly number[]> => {
    const found = await rows(database.db, sql`select generic_plans + custom_plans as runs from pg_prepared_statements where name like ${'recurring_%'}`);
    return found.map((row) => Number(row['runs']));
  };

  it('are prepared once they recur, and planned for their values for a while after one of them took long', async () => {
    const { db } = database;
    const send = async (count: number): Promise<unknown> =>
      (await runRecurring(db, ready('select count(*)::int from generate_series(1, ?::int) as g where g % 7 = 3'), [count]))[0]?.[0];
    for (let time = 0; time < 4; time += 1) expect(await send(70)).to.equal(10);
    expect(await runs()).to.deep.equal([]);
    expect([await send(7), await send(14)]).to.deep.equal([1, 2]);
    expect(await runs()).to.deep.equal([2]);
    expect(await send(14_000_000)).to.equal(2_000_000);
    expect(await runs()).to.deep.equal([3]);
    expect(await send(21)).to.equal(3);
    expect(await runs(), 'planned for its values').to.deep.equal([3]);
  });
});
