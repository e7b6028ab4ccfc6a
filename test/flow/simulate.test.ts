import { expect } from 'chai';
import type { Knex } from 'knex';
import { loadConfig } from '../../src/config.ts';
import { makeApp, type App } from '../../src/main.ts';
import { peopleNetwork } from '../../src/network/synthetic/network.ts';
import { checkVisits, type VisitFindings } from '../../src/network/synthetic/visit-check.ts';
import { findMail, findRuns, type MailFindings, type RunFindings } from '../../src/platform/automation/findings.sql.ts';
import { markSandbox } from '../../src/platform/automation/sandbox.sql.ts';
import { simulate, type SimulationResult } from '../../src/platform/automation/simulate.ts';
import { makeLog } from '../../src/platform/log.ts';
import { rows, run as execute, sql } from '../../src/platform/sql.ts';
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
  readonly months: readonly string[];
  readonly planted: { readonly mails: MailFindings; readonly runs: RunFindings } | null;
}

interface RunOptions {
  /** When everybody stops working; never unless told. */
  readonly peopleUntil?: string;
  /** Plants duplicates at the end and looks for them. */
  readonly plants?: boolean;
}

async function run(seed: number, to: string, { peopleUntil = to, plants = false }: RunOptions = {}): Promise<Simulated> {
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
        const peopled = await peopleNetwork({ ...app, clock }, random, PROVIDERS);
        return { drain: () => (clock.now() < peopleUntil ? peopled : app.worker).drain() };
      },
    });
    const [app] = opened;
    if (app === undefined) throw new Error('Nothing was wired.');
    const context = await app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const [counts = {}] = await rows(
      db,
      sql`select (select count(*)::int from credenza.event) as "open", (select count(*)::int from credenza.mail_suppression) as "optedOut",
            (select count(*)::int from credenza.mail_delivery where state not in ('captured', 'suppressed')) as "left"`,
    );
    const months = await rows(db, sql`select distinct to_char(created_at, 'YYYY-MM') as month from credenza.mail_delivery order by 1`);
    const visits = await checkVisits(db, context, app.reader);
    const planted = plants ? await plant(db, app, to) : null;
    return { result, visits, counts, months: months.map((row) => String(row['month'])), planted };
  } finally {
    for (const app of opened) await app.stop();
    await drop();
  }
}

/** A change that is reported a second time, and a campaign mail that goes a second time. */
async function plant(db: Knex, app: App, to: string): Promise<Simulated['planted']> {
  await execute(
    db,
    sql`insert into credenza.event (id, object, record_id, kind, at, before, after, changed, transition, cause, actor)
        select gen_random_uuid(), object, record_id, kind, at, before, after, changed, transition, cause, actor
          from credenza.event_log where object = 'Application' and kind = 'created' order by seq limit 1`,
  );
  await app.worker.drain();
  await execute(
    db,
    sql`insert into credenza.mail_delivery (id, key, message_id, class, template, recipient, subject, html, plain, about_object, about_id, state, next_attempt_at, created_at)
        select gen_random_uuid(), 'planted', 'planted', class, template, recipient, subject, html, plain, about_object, about_id, state, next_attempt_at, created_at
          from credenza.mail_delivery where template = 'mail/campaign-invitation' and state = 'captured' order by created_at, id limit 1`,
  );
  return { mails: await findMail(db, FROM, to), runs: await findRuns(db, FROM, to) };
}

describe('sixteen weeks of a simulated network', function () {
  this.timeout(600_000);
  let first: Simulated | null = null;

  const told = (): Simulated => {
    if (first === null) throw new Error('The first simulation failed.');
    return first;
  };

  before(async () => {
    first = await run(7, TO, { plants: true });
  });

  it('R000-31 R000-32 leaves no gap above policy between counted visits', () => {
    const { scheduled, counted, gaps } = told().visits;
    expect(gaps).to.deep.equal([]);
    expect(scheduled).to.be.greaterThan(PROVIDERS / 2);
    expect(counted).to.be.at.least(scheduled / 2);
  });

  it('has mail of every kind in every month, and none goes twice', () => {
    const { result, counts, months } = told();
    const { made, states, templates, twice } = result.mails;
    expect(twice).to.deep.equal([]);
    expect(made).to.be.greaterThan(40);
    expect(Object.keys(states)).to.deep.equal(['captured']);
    expect(templates).to.include.keys(
      ...['campaign-invitation', 'campaign-reminder', 'application-link', 'application-received', 'application-returned', 'application-approved'].map(of),
      ...['contract-ready', 'onboarding', 'case-acknowledgement', 'case-message'].map(of),
    );
    expect(months).to.deep.equal(['2027-01', '2027-02', '2027-03', '2027-04']);
    expect(counts).to.deep.equal({ open: 0, optedOut: 2, left: 0 });
  });

  it('does every run once', () => {
    const { runs, lines } = told().result;
    expect(runs.repeated).to.deep.equal([]);
    expect(runs.states).to.have.all.keys('done');
    expect(runs.states['done']).to.be.greaterThan(400);
    expect(lines).to.be.greaterThan(400);
  });

  it('finds what was planted: a change reported twice, a campaign mail sent twice', () => {
    const { planted } = told();
    expect(planted?.mails.twice.map(({ template, object, times }) => [template, object, times])).to.have.deep.members([
      ['mail/application-link', 'Application', 2],
      ['mail/campaign-invitation', 'CampaignMember', 2],
    ]);
    expect(planted?.runs.repeated.map(({ rule, object, times }) => [rule, object, times])).to.deep.equal([['application-created', 'Application', 2]]);
  });

  it('gives the same log for the same seed, and another for another', async () => {
    const again = await run(7, TO);
    expect(again.result).to.deep.equal(told().result);
    const [early, other] = [await run(7, TWO_WEEKS), await run(8, TWO_WEEKS)];
    expect(other.result.hash).to.not.equal(early.result.hash);
    process.stdout.write(
      `      ${String(told().visits.counted)} counted visits, ${String(told().result.mails.made)} mails, ${String(told().result.lines)} log lines, ${told().result.hash.slice(0, 12)} twice\n`,
    );
  });

  it('finds the gaps when the staff stop visiting', async () => {
    const { visits } = await run(7, TO, { peopleUntil: '2027-02-01T05:00:00.000Z' });
    expect(visits.scheduled).to.be.greaterThan(PROVIDERS / 2);
    expect(visits.gaps.length).to.be.greaterThan(10);
  });
});

function of(template: string): string {
  return `mail/${template}`;
}
