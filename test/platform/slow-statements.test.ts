import { expect } from 'chai';
import type { Knex } from 'knex';
import { inTransaction, openDb } from '../../src/platform/db.ts';
import { ready, rowArrays, rows, sql, type SlowStatement } from '../../src/platform/sql.ts';
import { makeTestDatabase, TEST_SCHEMA, type TestDatabase } from '../support/database.ts';

const SECRET = "Quokka's";
const NAPPING = sql`select pg_sleep(0.06) from credenza.app_user right join (select 1) as one on name = ${SECRET}::text and pg_sleep(0) is not null`;

describe('slow statements', () => {
  let database: TestDatabase;
  let db: Knex;
  const told: SlowStatement[] = [];

  before(async () => {
    database = await makeTestDatabase();
    db = openDb({
      url: database.url,
      schema: TEST_SCHEMA,
      poolSize: 2,
      statementTimeoutMs: 10_000,
      slow: { overMs: 50, report: (slow) => void told.push(slow) },
    });
  });
  after(async () => {
    await db.destroy();
    await database.drop();
  });
  beforeEach(() => void (told.length = 0));

  /** Whoever sent the statement did not wait for the plan. */
  async function heard(count: number): Promise<void> {
    const start = performance.now();
    while (told.length < count && performance.now() - start < 10_000) await rows(db, sql`select 1`);
    expect(told).to.have.length(count);
  }

  it('are told when the plan cannot be had, to who asked for the statement nothing of it', async () => {
    const single = openDb({
      url: database.url,
      schema: TEST_SCHEMA,
      poolSize: 2,
      statementTimeoutMs: 10_000,
      slow: { overMs: 50, report: (slow) => void told.push(slow) },
    });
    await inTransaction(single, async (tx) => {
      await rows(tx, sql`create table credenza.passing_more as select 1 as one`);
      expect(await rows(tx, sql`select one from credenza.passing_more, pg_sleep(0.06)`)).to.deep.equal([{ one: 1 }]);
      // Nobody else sees the table before this ends.
      await heard(1);
    });
    expect(told[0]?.plan.join()).to.match(/not known/);
    await single.destroy();
    await rows(db, sql`drop table credenza.passing_more`);
  });

  it('are told with time and plan, however they are sent, and no value stands in what is told', async () => {
    await rows(db, NAPPING);
    await rowArrays(db, ready(NAPPING.text), NAPPING.values);
    await inTransaction(db, (tx) => rowArrays(tx, ready(NAPPING.text), NAPPING.values));
    await heard(3);
    for (const slow of told) {
      expect(slow.ms).to.be.greaterThan(50);
      expect(slow.text).to.equal(NAPPING.text);
      expect(slow.plan.join('\n')).to.include('app_user').and.to.include("'…'");
      expect(JSON.stringify(slow)).to.not.include('Quokka');
    }
  });

  it('are told without a plan when they have none, and others are not told', async () => {
    await rows(db, sql`select 1`);
    await rows(db, sql`do $$ begin perform pg_sleep(0.06); end $$`);
    await heard(1);
    expect(told.map((slow) => slow.plan)).to.deep.equal([[]]);
  });
});
