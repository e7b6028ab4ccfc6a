import { expect } from 'chai';
import type { Knex } from 'knex';
import { databaseTrouble, inTransaction, openDb } from '../../src/platform/db.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { makeTestDatabase, TEST_SCHEMA, type TestDatabase } from '../support/database.ts';

describe('a transaction in which nothing is said', () => {
  let database: TestDatabase;
  let db: Knex;
  before(async () => {
    database = await makeTestDatabase();
    db = openDb({ url: database.url, schema: TEST_SCHEMA, poolSize: 1, statementTimeoutMs: 30_000, idleTransactionMs: 200 });
  });
  after(async () => {
    await db.destroy();
    await database.drop();
  });

  /** Begins a transaction that holds a lock, and says nothing until somebody else has got it. */
  const standStill = (then: (tx: Knex.Transaction) => Promise<unknown>): Promise<unknown> =>
    inTransaction(db, async (tx) => {
      await rows(tx, sql`select pg_advisory_xact_lock(7)`);
      await rows(database.db, sql`select pg_advisory_xact_lock(7)`);
      return then(tx);
    }).then(
      () => null,
      (error: unknown) => error,
    );

  it('is taken back, and whoever goes on with it is told that the connection was ended', async () => {
    for (const then of [(tx: Knex.Transaction) => rows(tx, sql`select 1`), () => Promise.resolve()])
      expect(databaseTrouble(await standStill(then))).to.deep.equal({ reason: 'the connection was ended', isRefusal: false });
    expect(await rows(db, sql`select 1 as one`), 'the pool opens another connection').to.deep.equal([{ one: 1 }]);
  });

  it('may last for 60 s where nothing else is said, and either side asks whether the other is there', async () => {
    const [found] = await rows(
      database.db,
      sql`select current_setting('idle_in_transaction_session_timeout') as idle, inet_client_addr() is null or current_setting('tcp_keepalives_idle') = '30' as asks`,
    );
    expect(found).to.deep.equal({ idle: '1min', asks: true });
  });
});
