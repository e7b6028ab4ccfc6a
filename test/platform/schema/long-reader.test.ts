import { expect } from 'chai';
import type { Knex } from 'knex';
import { systemClock } from '../../../src/platform/clock.ts';
import { SQLSTATE, sqlState } from '../../../src/platform/db.ts';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { ident, rows, run, schemaOf, sql, type Sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { objectFile, setOf } from './builders.ts';
import { makeWorld, withField, type World } from './world.ts';

const base = (): MetadataSet =>
  setOf({ Garden: objectFile('Garden', { name: { type: 'string', 'x-id': 'gardenname01' }, size: { type: 'string', 'x-id': 'gardensize01' } }) });

/** Whoever else works gives up when a lock keeps it waiting longer than this: the change waits 200 ms for its own and then steps back. */
const PATIENCE_MS = 500;
/** Tries of the change that must have failed while others worked. */
const TRIES = 3;

describe('a schema change beside somebody who reads for long', () => {
  let world: World;
  let changing: Knex;
  let working: Knex;
  beforeEach(async () => {
    world = await makeWorld();
    await world.store.apply(base(), 'test');
    [changing, working] = [openTestPool(world.database.url), openTestPool(world.database.url)];
  });
  afterEach(async () => {
    await changing.destroy();
    await working.destroy();
    await world.drop();
  });

  const changes: Readonly<Record<string, () => MetadataSet>> = {
    'a new field': () => withField(base(), 'Garden', 'area', { type: 'number', 'x-id': 'gardenarea01' }),
    'another type': () => withField(base(), 'Garden', 'size', { type: 'integer', 'x-id': 'gardensize01' }),
  };

  for (const [name, wanted] of Object.entries(changes)) {
    it(`${name}: it gives up after 200 ms and tries again, keeps nobody waiting longer, and is done when the reader ends`, async () => {
      const id = await world.insert('Garden', { name: 'Rosary', size: '7' });
      const garden = (await world.store.load()).objects.get('Garden');
      const table = ident(schemaOf(working), garden?.table ?? '');
      const column = ident(garden?.fields.get('name')?.column ?? '');
      let gaveUp = 0;
      changing.on('query-error', (error: unknown) => {
        if (sqlState(error) === SQLSTATE.lockNotAvailable) gaveUp += 1;
      });

      const reader = await world.database.db.transaction();
      let isDone = false;
      try {
        await rows(reader, sql`select count(*) from ${table}`);
        const change = makeModelStore({ db: changing, clock: systemClock, extensions: {} })
          .apply(wanted(), 'test')
          .finally(() => {
            isDone = true;
          });
        const impatient = (statement: Sql): Promise<number> =>
          working.transaction(async (tx) => {
            await run(tx, sql`select set_config('lock_timeout', ${`${String(PATIENCE_MS)}ms`}, true)`);
            return run(tx, statement);
          });
        let written = 0;
        // Two at a time, so that readers and writers stand in the same queue behind the change.
        while (gaveUp < TRIES && !isDone) {
          written += 1;
          const write = impatient(sql`update ${table} set ${column} = ${`Rosary ${String(written)}`} where id = ${id}::uuid`);
          const [changed, found] = await Promise.all([write, impatient(sql`select 1 from ${table}`)]);
          expect([changed, found]).to.deep.equal([1, 1]);
        }
        expect(isDone).to.equal(false);
        expect(gaveUp).to.be.at.least(TRIES);
        expect((await world.store.load()).version).to.equal(1);
        await reader.commit();
        expect((await change).version).to.equal(2);
        expect(await world.values('Garden', 'name')).to.deep.equal([`Rosary ${String(written)}`]);
        expect((await world.store.plan(wanted())).steps).to.deep.equal([]);
      } finally {
        if (!reader.isCompleted()) await reader.rollback();
      }
    });
  }
});
