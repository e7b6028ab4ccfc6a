import { randomBytes } from 'node:crypto';
import { loadavg } from 'node:os';
import type { Knex } from 'knex';
import { EXTENSIONS } from '../../src/extensions.ts';
import type { CallContext } from '../../src/platform/access/types.ts';
import { systemCall } from '../../src/platform/automation/call-context.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { makeLog } from '../../src/platform/log.ts';
import { readHistory } from '../../src/platform/query/history.ts';
import { makeRecordEngine } from '../../src/platform/record/engine.ts';
import { migratePlatform } from '../../src/platform/schema/migrate.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { endOfRun, makeShippedDatabase, openTestPool } from '../support/database.ts';
import { splitHistory } from './history-fill.ts';
import { describeTimes, percentile, say } from './large-database.ts';
import { oldHistory } from './history-old.ts';

/**
 * How long creates, updates and readings of histories take while the history of a running system is migrated and split by year, and afterwards beside a
 * system whose history lies in one table, in turns. `npx tsx test/bench/history-split.ts 3000000`
 */
const ROWS = Number(process.argv[2] ?? 1_000_000);
const CALM_MS = 5_000;
const TURNS = 20;
const WRITES_A_TURN = 200;

const engine = makeRecordEngine();
interface Side {
  readonly db: Knex;
  readonly context: () => Promise<CallContext>;
  readonly url: string;
  readonly drop: () => Promise<void>;
}

async function makeSide(): Promise<Side> {
  const { db, url, drop } = await makeShippedDatabase();
  const filler = openTestPool(url, { poolSize: 1 });
  await rows(filler, sql`set statement_timeout to 0`);
  // The last tenth of the ten years is this year's.
  await oldHistory(filler, ROWS, '2017-01-01T00:00:00Z', 3_600);
  await filler.destroy();
  const store = makeModelStore({ db, clock: systemClock, extensions: EXTENSIONS });
  return { db, url, drop, context: async () => systemCall(await store.current(), systemClock, randomBytes, 'bench') };
}

async function vacuum(url: string): Promise<void> {
  const db = openTestPool(url, { poolSize: 1 });
  await rows(db, sql`set statement_timeout to 0`);
  await rows(db, sql`vacuum (analyze)`);
  await db.destroy();
}

type Work = 'create' | 'update' | 'history';
type Times = Record<Work, number[]>;
const noTimes = (): Times => ({ create: [], update: [], history: [] });

async function timed<T>(into: number[], work: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const answer = await work();
  into.push(performance.now() - from);
  return answer;
}

async function writeOnce({ db, context }: Side, times: Times, isRead: boolean): Promise<void> {
  const ctx = await context();
  const values = { name: `Network ${randomBytes(6).toString('hex')}`, type: 'hmo', lineOfBusiness: 'commercial' };
  const made = await timed(times.create, () => engine.writeOne(db, ctx, 'Network', { kind: 'create', values }));
  const changed = { kind: 'update', id: made.id, version: 1, values: { name: `${values.name}, renamed` } } as const;
  await timed(times.update, () => engine.writeOne(db, ctx, 'Network', changed));
  if (!isRead) return;
  const entries = await timed(times.history, () => readHistory(db, ctx, 'Network', made.id));
  if (entries.length !== 2) throw new Error(`The history of a record that was changed once has ${String(entries.length)} entries.`);
}

const report = (phase: string, times: Times): void => {
  for (const [name, list] of Object.entries(times).filter((entry) => entry[1].length > 0)) {
    const sorted = list.sort((left, right) => left - right);
    process.stdout.write(`${phase}, ${describeTimes(name, sorted)}; load average ${loadavg()[0]?.toFixed(1) ?? ''}\n`);
  }
};

const [split, whole] = [await makeSide(), await makeSide()];
try {
  let times = noTimes();
  let isRunning = true;
  const traffic = Promise.all(
    [1, 2].map(async () => {
      while (isRunning) await writeOnce(split, times, true);
    }),
  );
  const phase = async (name: string, work: () => Promise<void>): Promise<void> => {
    times = noTimes();
    const from = performance.now();
    await work();
    report(`${name} (${((performance.now() - from) / 1000).toFixed(1)} s)`, times);
  };
  const calm = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, CALM_MS));
  await phase('before', calm);
  const other = openTestPool(split.url);
  await phase('migration', async () => say((await migratePlatform(other)).applied.join(', ')));
  await phase('split', async () => {
    const { steps, longestMs } = await splitHistory(other, systemClock, makeLog('info'));
    say(`${String(steps)} steps, the longest ${(longestMs / 1000).toFixed(2)} s`);
  });
  await phase('after', calm);
  isRunning = false;
  await traffic;
  await other.destroy();

  // Both have as many records, and the planner knows of them, or reads by id of the one would be planned for an empty table.
  const [extra] = await rows(split.db, sql`select count(*)::int as n from credenza.record_history where object_id <> 'thing' and version = 1`);
  for (let n = 0; n < Number(extra?.['n']); n += 1) await writeOnce(whole, noTimes(), false);
  for (const { url } of [split, whole]) await vacuum(url);
  const turns = { split: noTimes(), whole: noTimes() };
  for (const side of [split, whole]) for (let n = 0; n < WRITES_A_TURN; n += 1) await writeOnce(side, noTimes(), false);
  for (let turn = 0; turn < TURNS; turn += 1)
    for (const [name, side] of [['split', split] as const, ['whole', whole] as const])
      for (let n = 0; n < WRITES_A_TURN; n += 1) await writeOnce(side, turns[name], true);
  report('by year', turns.split);
  report('in one table', turns.whole);
  for (const name of ['create', 'update', 'history'] as const) {
    const [left, right] = [percentile(turns.split[name], 0.5), percentile(turns.whole[name], 0.5)];
    process.stdout.write(`${name}: median by year ${(left / right).toFixed(3)} of that in one table\n`);
  }
} finally {
  for (const side of [split, whole]) await side.drop();
  await endOfRun();
}
