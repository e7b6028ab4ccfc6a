import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { Knex } from 'knex';
import { systemCall } from '../../src/platform/automation/call-context.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { inOwnSession, openDb } from '../../src/platform/db.ts';
import { makeRecordEngine } from '../../src/platform/record/engine.ts';
import { migratePlatform } from '../../src/platform/schema/migrate.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { ident, keyword, rows, run, sql } from '../../src/platform/sql.ts';
import { makeTestDatabase, TEST_SCHEMA, type TestDatabase } from '../support/database.ts';
import { startPooler, type Pooler } from '../support/pooler.ts';
import { objectFile, setOf } from './schema/builders.ts';
import { refusal } from './schema/world.ts';

const SETTINGS = [
  ['timezone', 'UTC'],
  ['datestyle', 'ISO'],
  ['jit', 'off'],
  ['pg_trgm.word_similarity_threshold', '0.35'],
  ['statement_timeout', '30s'],
  ['idle_in_transaction_session_timeout', '60s'],
] as const;

describe('behind a pooler', () => {
  let database: TestDatabase;
  let pooler: Pooler;
  const pools: Knex[] = [];

  const open = (directUrl: string | null): Knex => {
    const db = openDb({
      url: pooler.url,
      schema: TEST_SCHEMA,
      poolSize: 2,
      statementTimeoutMs: 30_000,
      prepares: false,
      directUrl,
      applicationName: 'credenza-test',
    });
    pools.push(db);
    return db;
  };

  before(async () => {
    database = await makeTestDatabase();
    pooler = await startPooler(database.url);
  });
  after(async () => {
    for (const pool of pools) await pool.destroy();
    await pooler.close();
    await database.drop();
  });

  const setAll = async (): Promise<void> => {
    const [found] = await rows(database.db, sql`select current_database() as name`);
    // Known to PostgreSQL only once the module is loaded.
    await rows(database.db, sql`select public.similarity('a', 'b')`);
    for (const [name, value] of SETTINGS)
      await run(database.db, sql`alter database ${ident(String(found?.['name']))} set ${ident(...name.split('.'))} = ${keyword(`'${value}'`)}`);
  };

  it('the product does not start without the settings that were ignored, and names them', async () => {
    const error = await refusal(migratePlatform(open(null)));
    expect(error.code).to.equal('config_invalid');
    for (const [name, value] of SETTINGS) if (!['timezone', 'datestyle'].includes(name)) expect(error.message).to.contain(`set ${name} = '${value}'`);
    expect(error.message).not.to.contain('datestyle');
  });

  it('it starts where the database or the role gives them', async () => {
    await setAll();
    expect(await migratePlatform(open(null))).to.deep.equal({ applied: [] });
  });

  it('an index beside running work is refused without an address past the pooler, and made with one', async () => {
    const garden = (name: Readonly<Record<string, unknown>>) =>
      setOf({ Garden: objectFile('Garden', { name: { type: 'string', 'x-id': 'gardenname01', ...name } }) });
    const stores = { pooled: open(null), direct: open(database.url) };
    const apply = (db: Knex, name: Readonly<Record<string, unknown>>) => makeModelStore({ db, clock: systemClock, extensions: {} }).apply(garden(name), 'test');
    await apply(stores.pooled, {});
    const context = systemCall(await makeModelStore({ db: stores.pooled, clock: systemClock, extensions: {} }).load(), systemClock, randomBytes, 'test');
    await makeRecordEngine().writeOne(stores.pooled, context, 'Garden', { kind: 'create', values: { name: 'Rosary' } });
    const error = await refusal(apply(stores.pooled, { 'x-unique': true }));
    expect([error.code, error.message]).to.deep.equal([
      'config_invalid',
      'DATABASE_URL leads to a connection pooler. This change makes or drops an index beside running work, which needs a connection of its own: set DATABASE_DIRECT_URL to the address of PostgreSQL itself.',
    ]);
    expect((await apply(stores.direct, { 'x-unique': true })).steps).not.to.have.length(0);
  });

  it('a session of its own leaves nothing behind', async () => {
    const db = open(database.url);
    await inOwnSession(db, async (session, connection) => {
      await session.raw(`select set_config('lock_timeout', '7s', false)`).connection(connection);
      const { rows: found } = await session.raw<{ rows: unknown }>(`select current_setting('lock_timeout') as timeout`).connection(connection);
      expect(found).to.deep.equal([{ timeout: '7s' }]);
    });
    expect(await rows(db, sql`select current_setting('lock_timeout') as timeout`)).to.deep.equal([{ timeout: '0' }]);
  });
});
