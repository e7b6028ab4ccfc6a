import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { nextDueAfter } from '../../../src/platform/automation/runs.sql.ts';
import { besideModule } from '../../../src/platform/child.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { platformTable, rows, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';
import { MINUTE_MS, walk } from './fixtures/wall-walk.ts';

/** The whole: WORKERS_HOURS=24 WORKERS_KILLS=40. */
const HOURS = Number(process.env['WORKERS_HOURS'] ?? '5');
const KILLS = Number(process.env['WORKERS_KILLS'] ?? '4');
const WORKERS = 4;
const HOUR_MS = 60 * MINUTE_MS;
/** A night in which the clocks of five of the zones are set back. */
const START = '2026-11-01T05:00:00.000Z';

const ZONES = [
  'America/New_York',
  'America/Chicago',
  'America/Denver',
  'America/Los_Angeles',
  'America/Phoenix',
  'America/Puerto_Rico',
  'Pacific/Honolulu',
  'Europe/London',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
];
const PATTERNS = [
  '*/5 * * * *',
  '*/10 * * * *',
  '*/15 * * * *',
  '*/20 * * * *',
  '*/30 * * * *',
  '0 * * * *',
  '7 * * * *',
  '59 * * * *',
  '5,25,45 * * * *',
  '10-14 * * * *',
  '30 * * * 0',
  '0 1 * * *',
  '30 1 * * *',
  '15,45 1,2 * * *',
  '0 0 * * *',
  '30 23 * * *',
  '0 0,2-4 1 11 *',
  '0 1-5 * * *',
  '*/30 1 * * *',
  '0 9 * * 1-5',
];

const RULES: readonly RuleFile[] = PATTERNS.flatMap((schedule, pattern) =>
  ZONES.map((zone, index): RuleFile => {
    const name = `tick-${String(pattern)}-${String(index)}`;
    return { name, on: { schedule, zone }, missed: 'all', do: [{ step: 'create', object: 'Todo', values: { subject: `'${name}'` } }] };
  }),
);

/** When each rule is due in a span, by a walk over its minutes. */
function plannedRuns(throughMs: number): ReadonlyMap<string, readonly string[]> {
  return new Map(
    PATTERNS.flatMap((pattern, at) =>
      ZONES.map((zone, index) => [
        `tick-${String(at)}-${String(index)}`,
        walk(pattern, zone, Date.parse(START), throughMs).map((ms) => new Date(ms).toISOString()),
      ]),
    ),
  );
}

const isSource = import.meta.url.endsWith('.ts');

async function startWorker(url: string, seed: number): Promise<ChildProcess> {
  const child = fork(fileURLToPath(besideModule(import.meta.url, 'fixtures/working-child')), [url, String(seed)], {
    execArgv: isSource ? ['--import=tsx'] : [],
    stdio: 'inherit',
  });
  await once(child, 'message');
  return child;
}

describe(`${String(WORKERS)} worker processes, ${String(RULES.length)} rules by schedule`, function () {
  this.timeout(30 * MINUTE_MS);
  let shop: Shop;
  let workers: ChildProcess[] = [];
  let seeds = 0;

  const start = (): Promise<ChildProcess> => startWorker(shop.url, (seeds += 1));
  /** Has workers do what is due by their clocks, all at once. */
  const drain = async (times: readonly number[]): Promise<void> => {
    const done = workers.map((worker) => once(worker, 'message'));
    for (const [index, worker] of workers.entries()) worker.send(new Date(times[index] ?? 0).toISOString());
    await Promise.all(done);
  };
  const allAt = (ms: number): Promise<void> => drain(workers.map(() => ms));

  beforeEach(async () => {
    shop = await makeShop([], { start: START });
    workers = await Promise.all(Array.from({ length: WORKERS }, start));
    await shop.publish(RULES);
    await allAt(Date.parse(START));
  });
  afterEach(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    await shop.drop();
  });

  /** Each planned occurrence ran once and nothing else ran, and each run made what its rule makes. */
  async function expectOnce(throughMs: number): Promise<number> {
    const runs = await rows(
      shop.db,
      sql`select rule, state, array_agg(due_at order by due_at) as due from ${platformTable(shop.db, 'rule_run')} group by 1, 2`,
    );
    const found = new Map(
      runs.map((row) => {
        expect(row['state'], String(row['rule'])).to.equal('done');
        return [String(row['rule']), Array.from(row['due'] as readonly (string | Date)[], (due) => new Date(due).toISOString())];
      }),
    );
    const planned = plannedRuns(throughMs);
    for (const [rule, due] of planned) expect(found.get(rule) ?? [], rule).to.deep.equal(due);
    const todo = (await shop.store.current()).objects.get('Todo');
    const made = await rows(shop.db, sql`select 1 from ${platformTable(shop.db, todo?.table ?? '')}`);
    const count = [...planned.values()].reduce((sum, due) => sum + due.length, 0);
    expect(made, 'what the runs made').to.have.length(count);
    return count;
  }

  it(`run each occurrence of ${String(HOURS)} hours once, in which clocks are set back and ${String(KILLS)} workers are killed`, async () => {
    const end = Date.parse(START) + HOURS * HOUR_MS;
    const killEvery = Math.floor((HOURS * 12) / (KILLS + 1));
    let kills = 0;
    let jumps = 0;
    for (;;) {
      const due = await nextDueAfter(shop.db, new Date(Date.parse(START) + jumps).toISOString());
      const next = due === null ? end + 1 : Date.parse(due);
      if (next > end) break;
      jumps = next - Date.parse(START);
      const victim = kills < KILLS && (jumps / (5 * MINUTE_MS)) % killEvery === 0 ? workers[kills % WORKERS] : undefined;
      if (victim === undefined) await allAt(next);
      else {
        // In the midst of its work: it has been told, and is not waited for.
        victim.send(new Date(next).toISOString());
        victim.kill('SIGKILL');
        await once(victim, 'exit');
        workers = workers.filter((worker) => worker !== victim);
        await allAt(next);
        workers = [...workers, await start()];
        await allAt(next);
        kills += 1;
      }
    }
    expect(kills).to.equal(KILLS);
    const count = await expectOnce(end);
    process.stdout.write(`      ${String(count)} occurrences, ${String(kills)} kills\n`);
  });

  it('run each once though their clocks differ by minutes, one is set back an hour and one goes ahead a day', async () => {
    const from = Date.parse(START);
    const skews = [0, 5 * MINUTE_MS, -5 * MINUTE_MS, -61 * MINUTE_MS];
    for (let minute = 5; minute <= 60; minute += 5) await drain(skews.map((skew) => from + minute * MINUTE_MS + skew));
    // One jumps ahead of all others and comes back, another falls behind by an hour.
    await drain([from + HOUR_MS, from + 5 * HOUR_MS, from, from + HOUR_MS]);
    await drain([from + HOUR_MS + 5 * MINUTE_MS, from, from + HOUR_MS, from + 2 * HOUR_MS]);
    for (let hour = 2; hour <= 5; hour += 1) await allAt(from + hour * HOUR_MS);
    await expectOnce(from + 5 * HOUR_MS);
  });
});
