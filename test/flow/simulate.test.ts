import { expect } from 'chai';
import { loadConfig } from '../../src/config.ts';
import { makeApp, type App } from '../../src/main.ts';
import { checkVisits, peopleNetwork, type VisitFindings } from '../../src/network/synthetic/network.ts';
import { markSandbox } from '../../src/platform/automation/sandbox.sql.ts';
import { simulate, type SimulationResult } from '../../src/platform/automation/simulate.ts';
import { makeLog } from '../../src/platform/log.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { makeShippedDatabase } from '../support/database.ts';

const FROM = '2027-01-04T05:00:00.000Z';
/** Long enough for an orientation and the first quarterly visit of every panel. */
const TO = '2027-04-26T04:00:00.000Z';
const TWO_WEEKS = '2027-01-18T05:00:00.000Z';
const PROVIDERS = 60;

interface Simulated {
  readonly result: SimulationResult;
  readonly visits: VisitFindings;
  readonly counts: Readonly<Record<string, unknown>>;
}

async function run(seed: number, to: string, staffUntil = to): Promise<Simulated> {
  const { db, url, drop } = await makeShippedDatabase();
  await markSandbox(db);
  const config = loadConfig({ WORKER: 'false' }, '/nowhere');
  const opened: App[] = [];
  try {
    const result = await simulate({
      db,
      from: FROM,
      to,
      seed,
      wire: async (clock, random) => {
        const app = makeApp({ ...config, databaseUrl: url }, { db, clock, random, log: makeLog('silent') });
        opened.push(app);
        const staffed = await peopleNetwork(app, random, PROVIDERS);
        return { drain: () => (clock.now() < staffUntil ? staffed : app.worker).drain() };
      },
    });
    const [app] = opened;
    if (app === undefined) throw new Error('Nothing was wired.');
    const context = await app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const [counts = {}] = await rows(
      db,
      sql`select (select count(*)::int from credenza.rule_run where state not in ('done', 'skipped')) as "undone",
            (select count(*)::int from credenza.event) as "open",
            (select count(*)::int from (select template, about_id, recipient, created_at::date from credenza.mail_delivery group by 1, 2, 3, 4 having count(*) > 1) d) as "twice",
            (select count(*)::int from (select run_key from credenza.rule_run group by 1 having count(*) > 1) d) as "repeated",
            (select count(*)::int from credenza.mail_delivery where state not in ('captured', 'suppressed')) as "left"`,
    );
    return { result, visits: await checkVisits(db, context, app.reader), counts };
  } finally {
    for (const app of opened) await app.stop();
    await drop();
  }
}

describe('sixteen weeks of a simulated network', function () {
  this.timeout(300_000);
  let first: Simulated | null = null;

  const told = (): Simulated => {
    if (first === null) throw new Error('The first simulation failed.');
    return first;
  };

  before(async () => {
    first = await run(7, TO);
  });

  it('R000-31 R000-32 leaves no gap above policy between counted visits', () => {
    const { scheduled, counted, gaps } = told().visits;
    expect(gaps).to.deep.equal([]);
    expect(scheduled).to.be.greaterThan(PROVIDERS / 2);
    expect(counted).to.be.at.least(scheduled / 2);
  });

  it('does every run once and sends no mail twice, and nothing leaves the sandbox', () => {
    expect(told().counts).to.deep.equal({ undone: 0, open: 0, twice: 0, repeated: 0, left: 0 });
    expect(told().result.lines).to.be.greaterThan(300);
  });

  it('gives the same log for the same seed, and another for another', async () => {
    const again = await run(7, TO);
    expect(again.result.hash).to.equal(told().result.hash);
    expect(again.result.moments).to.equal(told().result.moments);
    const [early, other] = [await run(7, TWO_WEEKS), await run(8, TWO_WEEKS)];
    expect(other.result.hash).to.not.equal(early.result.hash);
    process.stdout.write(
      `      ${String(told().visits.counted)} counted visits, ${String(told().result.lines)} log lines, ${told().result.hash.slice(0, 12)} twice\n`,
    );
  });

  it('finds the gaps when the staff stop visiting', async () => {
    const { visits } = await run(7, TO, '2027-02-01T05:00:00.000Z');
    expect(visits.scheduled).to.be.greaterThan(PROVIDERS / 2);
    expect(visits.gaps.length).to.be.greaterThan(10);
  });
});
