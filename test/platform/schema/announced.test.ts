import { expect } from 'chai';
import { systemClock } from '../../../src/platform/clock.ts';
import { announce, isAnnounced, readAnnounced } from '../../../src/platform/schema/announced.sql.ts';
import { beat, leave, listen } from '../../../src/platform/schema/processes.sql.ts';
import { makeModelStore, type ModelStore } from '../../../src/platform/schema/store.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { objectFile, setOf } from './builders.ts';
import { makeWorld, withField, type World } from './world.ts';

const base = () => setOf({ Garden: objectFile('Garden', { name: { type: 'string', 'x-id': 'gardenname01' } }) });
const wider = () => withField(base(), 'Garden', 'area', { type: 'number', 'x-id': 'gardenarea01' });

describe('the next version of the metadata', () => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
    await world.store.apply(base(), 'test');
  });
  afterEach(() => world.drop());

  /** A store that calls a function at a named point of a change. */
  const storeWith = (at: string, call: () => void): ModelStore =>
    makeModelStore({ db: world.database.db, clock: systemClock, extensions: {}, faults: (point) => void (point === at && call()) });

  it('is compiled by the other processes before it is in force, and taken up without being read again', async () => {
    const pool = openTestPool(world.database.url);
    const other = makeModelStore({ db: pool, clock: systemClock, extensions: {} });
    const stop = other.startBeating();
    const asked: string[] = [];
    pool.on('query', ({ sql: text }: { readonly sql: string }) => asked.push(text));
    const compiledBefore = (): boolean =>
      asked.some((text) => text.includes('"metadata_announced" where id')) && asked.some((text) => text.includes('set ready'));
    try {
      const start = performance.now();
      while ((await rows(pool, sql`select 1 from ${platformTable(pool, 'process')}`)).length === 0) expect(performance.now() - start).to.be.below(5_000);
      expect((await other.load()).version).to.equal(1);
      let wasReady = false;
      const applying = storeWith('schema.before_version', () => {
        wasReady = compiledBefore();
        asked.length = 0;
      });
      await applying.apply(wider(), 'test');
      expect(wasReady).to.equal(true);
      const model = await other.load();
      expect(model.version).to.equal(2);
      expect(model.objects.get('Garden')?.fields.has('area')).to.equal(true);
      expect(asked.filter((text) => /content/.test(text))).to.deep.equal([]);
      const written = await rows(pool, sql`select hash from ${platformTable(pool, 'metadata_version')} where version = 2`);
      expect(model.hash).to.equal(written[0]?.['hash']);
      expect(await listen(pool), 'nobody goes on listening closely').to.deep.equal({ version: 2, announced: null });
    } finally {
      await stop();
      await pool.destroy();
    }
  });

  it('waits for no process that is gone, and three seconds at the most for one that does not get ready', async () => {
    const { db } = world.database;
    await beat(db, 'silent', 1);
    await run(db, sql`update ${platformTable(db, 'process')} set seen_at = clock_timestamp() - interval '4 seconds'`);
    let start = performance.now();
    await world.store.apply(wider(), 'test');
    expect(performance.now() - start).to.be.below(2_500);
    await beat(db, 'stuck', 2);
    start = performance.now();
    expect((await world.store.apply(base(), 'test')).version).to.equal(3);
    expect(performance.now() - start).to.be.within(1_000, 10_000);
    await leave(db, 'silent');
    await leave(db, 'stuck');
  });

  it('is not taken for a version that another process put in force in its place', async () => {
    const { db } = world.database;
    const pool = openTestPool(world.database.url);
    try {
      const first = await announce(db, { version: 2, set: wider(), names: (await world.store.recorded()).names ?? new Map() });
      const failing = storeWith('schema.before_version', () => {
        throw new Error('This process was killed.');
      });
      const other = withField(base(), 'Garden', 'shade', { type: 'boolean', 'x-id': 'gardenshade1' });
      const killed = await failing.apply(other, 'test').then(
        () => 'applied',
        (error: unknown) => String(error),
      );
      expect(killed).to.contain('was killed');
      expect(await readAnnounced(db, first)).to.equal(null);
      // The process that was about to put its version in force has its Model still.
      await makeModelStore({ db: pool, clock: systemClock, extensions: {} }).apply(wider(), 'test');
      const [row] = await rows(db, sql`select announcement from ${platformTable(db, 'metadata_version')} where version = 2`);
      expect(await isAnnounced(db, 2, String(row?.['announcement']))).to.equal(true);
      expect(await isAnnounced(db, 2, first)).to.equal(false);
      const model = await failing.load();
      expect([model.version, model.objects.get('Garden')?.fields.has('area'), model.objects.get('Garden')?.fields.has('shade')]).to.deep.equal([
        2,
        true,
        false,
      ]);
    } finally {
      await pool.destroy();
    }
  });
});
