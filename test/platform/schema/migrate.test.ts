import { expect } from 'chai';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SQLSTATE, sqlState } from '../../../src/platform/db.ts';
import { migratePlatform, pendingMigrations } from '../../../src/platform/schema/migrate.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { packageRoot } from '../../../src/platform/root.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { makeBlankDatabase, makeTestDatabase, openTestPool, type TestDatabase } from '../../support/database.ts';

/** Every migration of the folder must be known to the program, in order. */
const ALL = readdirSync(join(packageRoot(), 'migrations'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort();

describe('platform migrations', () => {
  let blank: TestDatabase;
  beforeEach(async () => {
    blank = await makeBlankDatabase();
  });
  afterEach(() => blank.drop());

  it('make the schema and its tables, once', async () => {
    expect(await pendingMigrations(blank.db)).to.deep.equal(ALL);
    expect(await migratePlatform(blank.db)).to.deep.equal({ applied: ALL });
    expect(await migratePlatform(blank.db)).to.deep.equal({ applied: [] });
    expect(await pendingMigrations(blank.db)).to.deep.equal([]);
    const tables = await rows(blank.db, sql`select tablename from pg_tables where schemaname = 'credenza'`);
    expect(tables.map((row) => row['tablename'])).to.include.members(['event', 'record_history', 'app_user', 'migration', 'lease']);
    expect(await rows(blank.db, sql`select 1 from pg_tables where schemaname = 'public'`)).to.have.length(0);
  });

  it('run once when four processes start at the same moment', async () => {
    const pools = [1, 2, 3, 4].map(() => openTestPool(blank.url));
    try {
      const results = await Promise.all(pools.map((pool) => migratePlatform(pool)));
      expect(results.flatMap((result) => result.applied)).to.deep.equal(ALL);
      expect(await rows(blank.db, sql`select 1 from credenza.lease`)).to.have.length(0);
    } finally {
      await Promise.all(pools.map((pool) => pool.destroy()));
    }
  });

  it('take over the lease of a process that was killed, once it has expired', async () => {
    await run(blank.db, sql`create schema credenza`);
    await run(blank.db, sql`create table credenza.lease (name text collate "C" primary key, holder text not null, expires_at timestamptz(3) not null)`);
    await run(blank.db, sql`insert into credenza.lease values ('migration', 'gone', clock_timestamp() + interval '1 second')`);
    expect(await migratePlatform(blank.db)).to.deep.equal({ applied: ALL });
  });

  it('keep nobody waiting while somebody reads for long, and are done when the reader ends', async () => {
    await migratePlatform(blank.db);
    await run(blank.db, sql`delete from credenza.migration where name = '0018-upkeep'`);
    await run(blank.db, sql`alter index credenza.search_entry_keys reset (gin_pending_list_limit)`);
    const [reading, migrating, working] = [openTestPool(blank.url), openTestPool(blank.url), openTestPool(blank.url)];
    let gaveUp = 0;
    migrating.on('query-error', (error: unknown) => {
      if (sqlState(error) === SQLSTATE.lockNotAvailable) gaveUp += 1;
    });
    const reader = await reading.transaction();
    try {
      const search = sql`select 1 from credenza.search_entry where keys like '%reader%'`;
      await rows(reader, search);
      const migrated = migratePlatform(migrating);
      // 200 ms are waited for a lock at the most; whoever comes after waits no longer.
      while (gaveUp < 3)
        await working.transaction(async (tx) => {
          await run(tx, sql`set local lock_timeout to '1s'`);
          await rows(tx, search);
        });
      await reader.commit();
      expect(await migrated).to.deep.equal({ applied: ['0018-upkeep'] });
      const [index] = await rows(blank.db, sql`select reloptions from pg_class where oid = 'credenza.search_entry_keys'::regclass`);
      expect(index).to.deep.equal({ reloptions: ['gin_pending_list_limit=256'] });
    } finally {
      if (!reader.isCompleted()) await reader.rollback();
      await Promise.all([reading, migrating, working].map((pool) => pool.destroy()));
    }
  });

  it('keep two plans in one database apart', async () => {
    await migratePlatform(blank.db);
    const other = openTestPool(blank.url, { schema: 'second_plan' });
    try {
      expect(await migratePlatform(other)).to.deep.equal({ applied: ALL });
    } finally {
      await other.destroy();
    }
  });

  it('say so in one line when no database answers', async () => {
    const nowhere = openTestPool('postgres://nobody@127.0.0.1:1/none');
    try {
      await migratePlatform(nowhere);
      expect.fail('it answered');
    } catch (error) {
      expect(isAppError(error, 'external_unavailable'), String(error)).to.equal(true);
      expect(String(error)).to.match(/ECONNREFUSED.*DATABASE_URL/s);
    } finally {
      await nowhere.destroy();
    }
  });
});

describe('makeTestDatabase', () => {
  it('gives each caller a database of its own', async () => {
    const one = await makeTestDatabase();
    const two = await makeTestDatabase();
    try {
      await run(one.db, sql`insert into credenza.setting values ('a', '1')`);
      expect(await rows(two.db, sql`select key from credenza.setting`)).to.deep.equal([]);
      expect(await rows(one.db, sql`select key from credenza.setting`)).to.deep.equal([{ key: 'a' }]);
    } finally {
      await one.drop();
      await two.drop();
    }
  });
});
