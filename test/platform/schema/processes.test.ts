import { expect } from 'chai';
import { systemClock } from '../../../src/platform/clock.ts';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import { beat, isInForce, leave, requireInForce, waitForProcesses } from '../../../src/platform/schema/processes.sql.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { objectFile, setOf } from './builders.ts';
import { makeWorld, refusal, withField, type World } from './world.ts';

const base = (): MetadataSet => setOf({ Garden: objectFile('Garden', { name: { type: 'string', 'x-id': 'gardenname01' } }) });

describe('processes and versions', () => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
    await world.store.apply(base(), 'test');
  });
  afterEach(() => world.drop());

  it('refuse a write by a Model that is no longer in force, in its own statement or as the first one of a transaction', async () => {
    const { db } = world.database;
    await db.transaction((tx) => requireInForce(tx, 1));
    await world.store.apply(withField(base(), 'Garden', 'area', { type: 'number' }), 'test');
    const error = await refusal(db.transaction((tx) => requireInForce(tx, 1)));
    expect(error.code).to.equal('model_changed');
    expect(error.retryAfterSeconds).to.equal(1);
    await db.transaction((tx) => requireInForce(tx, 2));
    const written = await run(db, sql`update ${platformTable(db, 'setting')} set value = '1' where ${isInForce(db, 1)}`);
    expect(written).to.equal(0);
  });

  it('are waited for until they have the version, and no longer than they live', async () => {
    const { db } = world.database;
    await beat(db, 'slow', 1);
    await run(db, sql`insert into ${platformTable(db, 'process')} (id, model_version, seen_at) values ('gone', 1, clock_timestamp() - interval '1 minute')`);
    let waited = 0;
    await waitForProcesses(db, 2, async () => {
      waited += 1;
      await beat(db, 'slow', 2);
    });
    expect(waited).to.equal(1);
    expect(await rows(db, sql`select id, model_version from ${platformTable(db, 'process')}`)).to.deep.equal([{ id: 'slow', model_version: 2 }]);
    await leave(db, 'slow');
  });

  it('are waited for until what they wrote before is committed', async () => {
    const { db } = world.database;
    const writer = await db.transaction();
    await run(writer, sql`insert into ${platformTable(db, 'setting')} (key, value) values ('a', '1')`);
    let waited = 0;
    await waitForProcesses(db, 1, async () => {
      waited += 1;
      await writer.commit();
    });
    expect(waited).to.equal(1);
  });

  it('are not waited for while they write for another tenant of the database', async () => {
    const { db } = world.database;
    await run(db, sql`create schema elsewhere create table note (words text)`);
    const writer = await db.transaction();
    try {
      await run(writer, sql`insert into elsewhere.note values ('long work')`);
      let waited = 0;
      const renew = (): Promise<void> => ((waited += 1) > 3 ? Promise.reject(new Error('It waits.')) : Promise.resolve());
      await waitForProcesses(db, 1, renew);
      expect(waited).to.equal(0);
    } finally {
      await writer.rollback();
    }
  });

  it('say that they live and follow a new version although nobody calls them', async () => {
    const pool = openTestPool(world.database.url);
    const other = makeModelStore({ db: pool, clock: systemClock, extensions: {} });
    const stop = other.startBeating();
    try {
      await world.store.apply(withField(base(), 'Garden', 'area', { type: 'number' }), 'test');
      const seen = async () => (await rows(pool, sql`select model_version from ${platformTable(pool, 'process')}`)).map((row) => row['model_version']);
      const start = performance.now();
      while ((await seen())[0] !== 2) expect(performance.now() - start).to.be.below(5000);
    } finally {
      await stop();
      expect(await rows(pool, sql`select 1 from ${platformTable(pool, 'process')}`)).to.deep.equal([]);
      await pool.destroy();
    }
  });
});
