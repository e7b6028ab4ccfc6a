import { expect } from 'chai';
import type { Knex } from 'knex';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { copySchema } from '../../../src/platform/schema/copy.sql.ts';
import { makeHistoryYears } from '../../../src/platform/schema/history-years.ts';
import { migratePlatform } from '../../../src/platform/schema/migrate.ts';
import { ident, rows, run, sql } from '../../../src/platform/sql.ts';
import { partitionsOf, planLines } from '../../bench/history-fill.ts';
import { oldHistory } from '../../bench/history-old.ts';
import { makeTestDatabase, openTestPool, type TestDatabase } from '../../support/database.ts';

const log = makeLog('silent');
/** Rows of each year from 2021 to 2024, and those that come during the test. */
const ROWS_OF_YEAR = 300;

async function addRow(db: Knex, at: string): Promise<void> {
  await run(
    db,
    sql`insert into credenza.record_history (object_id, record_id, version, kind, at, actor, cause, changes)
        values ('thing', gen_random_uuid(), 1, 'created', ${at}::timestamptz, 'system:test', '{}', '{}')`,
  );
}

const all = (db: Knex): Promise<Record<string, unknown>[]> => rows(db, sql`select * from credenza.record_history order by id`);

/** Partitions with how many rows each has. */
async function partitions(db: Knex): Promise<Readonly<Record<string, number>>> {
  const found = await rows(
    db,
    sql`select p.relname as name, count(h.id)::int as n from pg_class p join pg_inherits i on i.inhrelid = p.oid left join credenza.record_history h on h.tableoid = p.oid
        where i.inhparent = 'credenza.record_history'::regclass group by 1 order by 1`,
  );
  return Object.fromEntries(found.map((row) => [String(row['name']).replace('record_history_', ''), Number(row['n'])]));
}

async function tablesLeft(db: Knex): Promise<readonly string[]> {
  const found = await rows(
    db,
    sql`select relname as name from pg_class where relnamespace = 'credenza'::regnamespace and relkind = 'r' and not relispartition and starts_with(relname, 'record_history')`,
  );
  return found.map((row) => String(row['name']));
}

describe('the history by year', () => {
  let database: TestDatabase;
  let db: Knex;
  beforeEach(async () => {
    database = await makeTestDatabase();
    ({ db } = database);
  });
  afterEach(() => database.drop());

  const clockAt = (now: string): ReturnType<typeof makeVirtualClock> => makeVirtualClock(now);
  const jobAt = (now: string, rowsAtOnce = 100): ReturnType<typeof makeHistoryYears> =>
    makeHistoryYears({ clock: clockAt(now), log, rowsAtOnce, rowsAtLast: 10, pauseMs: 0 });
  /** Runs the job until nothing is left. */
  async function work(job: ReturnType<typeof makeHistoryYears>, between: () => Promise<void> = () => Promise.resolve()): Promise<number> {
    for (let steps = 0; ; steps += 1) {
      if ((await job.run(db)) === 0) return steps;
      await between();
    }
  }

  it('begins with this year and the next, so that no row falls beside them', async () => {
    const [row] = await rows(db, sql`select extract(year from clock_timestamp() at time zone 'UTC')::int as year`);
    const year = Number(row?.['year']);
    expect(Object.keys(await partitions(db))).to.deep.equal([String(year), String(year + 1), 'default']);
    await addRow(db, `${String(year)}-12-31T23:59:59.999Z`);
    await addRow(db, `${String(year + 1)}-01-01T00:00:00.000Z`);
    expect(await partitions(db)).to.deep.equal({ [year]: 1, [year + 1]: 1, default: 0 });
  });

  it('makes years ahead by the clock that is given, once, whatever number of workers there is', async () => {
    const before = Object.keys(await partitions(db)).length;
    const done = await Promise.all([1, 2, 3].map(() => jobAt('2041-06-01T00:00:00Z').run(db)));
    expect(done.reduce((sum, count) => sum + count, 0)).to.equal(2);
    const clock = clockAt('2042-01-01T00:00:00Z');
    const job = makeHistoryYears({ clock, log });
    expect(await work(job)).to.equal(1);
    expect(Object.keys(await partitions(db))).to.include.members(['2041', '2042', '2043']);
    clock.advanceTo('2042-12-31T23:00:00Z');
    expect(await work(job)).to.equal(0);
    clock.advanceTo('2043-01-01T06:00:00Z');
    expect(await work(job)).to.equal(1);
    expect(Object.keys(await partitions(db))).to.have.length(before + 4);
    expect(await tablesLeft(db)).to.deep.equal([]);
  });

  it('takes a row that no partition is made for, and moves it when one is made', async () => {
    for (const at of ['2051-03-01T00:00:00Z', '2051-12-31T23:59:59.999Z', '2052-01-01T00:00:00Z', '2007-07-07T00:00:00Z']) await addRow(db, at);
    expect((await partitions(db))['default']).to.equal(4);
    const before = await all(db);
    await work(jobAt('2051-06-01T00:00:00Z'));
    expect(await all(db)).to.deep.equal(before);
    expect(await partitions(db)).to.include({ 2007: 1, 2051: 2, 2052: 1, default: 0 });
    await addRow(db, '2051-05-01T00:00:00Z');
    expect(await partitions(db)).to.include({ 2051: 3, default: 0 });
  });

  it('makes a partition beside a write of its year that is under way, and refuses no write', async () => {
    const other = openTestPool(database.url);
    try {
      const open = await other.transaction();
      await addRow(open, '2071-03-01T00:00:00Z');
      // Another write comes while the partition is being made; both are of a year without one.
      const job = jobAt('2071-06-01T00:00:00Z');
      const made = job.run(db);
      const waiting = async (): Promise<number> =>
        (await rows(db, sql`select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`)).length;
      while ((await waiting()) === 0) expect(await tablesLeft(other)).to.deep.equal([]);
      const late = addRow(other, '2071-04-01T00:00:00Z');
      await open.commit();
      await Promise.all([made, late]);
      await work(job);
      expect(await partitions(db)).to.include({ 2071: 2, 2072: 0, default: 0 });
      expect(await tablesLeft(db)).to.deep.equal([]);
    } finally {
      await other.destroy();
    }
  });

  it('splits what there is by year while others read and write on, and loses nothing', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    const before = await all(db);
    expect(await migratePlatform(db)).to.deep.equal({ applied: ['0017-history-by-year'] });
    expect(await all(db)).to.deep.equal(before);
    expect(await partitions(db)).to.deep.equal({ default: 4 * ROWS_OF_YEAR });

    const other = openTestPool(database.url);
    try {
      let added = 0;
      const steps = await work(jobAt('2024-12-01T00:00:00Z'), async () => {
        await addRow(other, '2024-12-31T12:00:00Z');
        added += 1;
        const [row] = await rows(other, sql`select count(*)::int as n, count(distinct id)::int as ids from credenza.record_history`);
        expect(row).to.deep.equal({ n: before.length + added, ids: before.length + added });
      });
      expect(steps).to.be.greaterThan((4 * ROWS_OF_YEAR) / 100);
      expect(added).to.equal(steps);
      const after = await all(db);
      expect(after.slice(0, before.length)).to.deep.equal(before);
      expect(after).to.have.length(before.length + added);
      expect(await partitions(db)).to.include({ 2021: ROWS_OF_YEAR, 2022: ROWS_OF_YEAR, 2023: ROWS_OF_YEAR, 2025: 0, default: 0 });
      expect(await tablesLeft(db)).to.deep.equal([]);
    } finally {
      await other.destroy();
    }
  });

  it('counts on after the rows that there were', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    await addRow(db, '2025-01-01T00:00:00Z');
    const found = await all(db);
    expect(Number(found.at(-1)?.['id'])).to.equal(4 * ROWS_OF_YEAR + 1);
  });

  it('misses no row of a transaction that was open when the copying began', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    const other = openTestPool(database.url);
    try {
      const open = await other.transaction();
      await addRow(open, '2023-05-05T00:00:00Z');
      await addRow(db, '2023-05-06T00:00:00Z');
      // The row of the open transaction has the lower number. Nothing is copied before it is known.
      const job = jobAt('2024-12-01T00:00:00Z');
      expect(await job.run(db)).to.equal(0);
      expect(await rows(db, sql`select known_to, copied_to from credenza.history_split`)).to.deep.equal([{ known_to: '0', copied_to: '0' }]);
      await addRow(db, '2023-05-07T00:00:00Z');
      await open.commit();
      await work(job);
      expect(await partitions(db)).to.include({ 2023: ROWS_OF_YEAR + 3, default: 0 });
    } finally {
      await other.destroy();
    }
  });

  it('goes on where a killed copy was, and with two workers at once', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    const before = await all(db);
    const first = jobAt('2024-12-01T00:00:00Z');
    for (let step = 0; step < 5; step += 1) await first.run(db);
    const [state] = await rows(db, sql`select copied_rows from credenza.history_split`);
    expect(Number(state?.['copied_rows'])).to.equal(400);
    await Promise.all([1, 2].map(() => work(jobAt('2024-12-01T00:00:00Z'))));
    await work(jobAt('2024-12-01T00:00:00Z'));
    expect(await all(db)).to.deep.equal(before);
    expect(await partitions(db)).to.include({ 2021: ROWS_OF_YEAR, 2024: ROWS_OF_YEAR, default: 0 });
  });

  it('leaves the rows where they are when the copies are not all of them', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    const before = await all(db);
    const job = jobAt('2024-12-01T00:00:00Z', 10_000);
    for (let step = 0; step < 2; step += 1) await job.run(db);
    await run(db, sql`update credenza.history_split set copied_rows = copied_rows - 1`);
    const refusal = await work(job).catch((error: unknown) => error);
    expect(isAppError(refusal, 'internal'), String(refusal)).to.equal(true);
    expect(await all(db)).to.deep.equal(before);
    expect(await partitions(db)).to.deep.equal({ default: 4 * ROWS_OF_YEAR });
  });

  it('waits for nobody long, and keeps nobody waiting, while a reader holds the table', async () => {
    await addRow(db, '2051-03-01T00:00:00Z');
    const reader = openTestPool(database.url);
    try {
      const open = await reader.transaction();
      await rows(open, sql`select count(*) from credenza.record_history`);
      const job = jobAt('2051-06-01T00:00:00Z');
      const from = performance.now();
      expect(await job.run(db)).to.equal(0);
      expect(performance.now() - from).to.be.lessThan(5_000);
      await addRow(db, '2051-03-02T00:00:00Z');
      await open.commit();
      await work(job);
      expect(await partitions(db)).to.include({ 2051: 2, default: 0 });
    } finally {
      await reader.destroy();
    }
  });

  it('lets a year be taken away by itself', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    await work(jobAt('2024-12-01T00:00:00Z'));
    await inTransaction(db, async (tx) => {
      await run(tx, sql`alter table credenza.record_history detach partition credenza.record_history_2021`);
    });
    expect(await work(jobAt('2024-12-01T00:00:00Z'))).to.equal(0);
    expect(await tablesLeft(db)).to.deep.equal(['record_history_2021']);
    await run(db, sql`drop table credenza.record_history_2021`);
    expect(await partitions(db)).to.deep.equal({ 2022: ROWS_OF_YEAR, 2023: ROWS_OF_YEAR, 2024: ROWS_OF_YEAR, 2025: 0, default: 0 });
  });

  it('reads one record by the index of each partition that its dates allow', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    await work(jobAt('2024-12-01T00:00:00Z'));
    const plan = (from: string, to: string): Promise<readonly string[]> =>
      planLines(
        db,
        sql`select * from credenza.record_history where record_id = md5('7')::uuid and at >= ${from}::timestamptz and at < ${to}::timestamptz order by at desc`,
      );
    expect(partitionsOf(await plan('2022-02-01T00:00:00Z', '2022-06-01T00:00:00Z'))).to.deep.equal(['record_history_2022']);
    expect(partitionsOf(await plan('2022-02-01T00:00:00Z', '2024-06-01T00:00:00Z'))).to.have.length(3);
    const indexes = await rows(
      db,
      sql`select tablename as name, indexdef from pg_indexes where schemaname = 'credenza' and starts_with(tablename, 'record_history_2') order by 1`,
    );
    expect(indexes).to.have.length(5);
    for (const index of indexes) expect(String(index['indexdef'])).to.match(/\(record_id, version DESC\)$/);
  });

  it('is copied with its partitions, half split or split', async () => {
    await oldHistory(db, 4 * ROWS_OF_YEAR, '2021-01-01T00:00:00Z', 1_461);
    await migratePlatform(db);
    const job = jobAt('2024-12-01T00:00:00Z');
    for (let step = 0; step < 5; step += 1) await job.run(db);
    for (const name of ['half', 'whole']) {
      await copySchema(db, 'credenza', name, {});
      const copy = openTestPool(database.url, { schema: name });
      try {
        const one = jobAt('2024-12-01T00:00:00Z');
        for (let count = 1; count > 0;) count = await one.run(copy);
        const [row] = await rows(copy, sql`select count(*)::int as n, count(distinct tableoid)::int as parts from ${ident(name, 'record_history')}`);
        expect(row, name).to.deep.equal({ n: 4 * ROWS_OF_YEAR, parts: 4 });
        const [index] = await rows(
          copy,
          sql`select count(*)::int as n from pg_indexes where schemaname = ${name} and indexdef like '%(record_id, version DESC)' and tablename ~ '^record_history_2'`,
        );
        expect(index, name).to.deep.equal({ n: 5 });
      } finally {
        await copy.destroy();
      }
      await work(job);
    }
  });
});
