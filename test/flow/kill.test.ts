import { expect } from 'chai';
import { loadConfig } from '../../src/config.ts';
import { makeApp, type App } from '../../src/main.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { seededRandom } from '../../src/platform/ids.ts';
import { addUser } from '../../src/platform/identity/users.ts';
import { makeLog } from '../../src/platform/log.ts';
import { deliveriesInState } from '../../src/platform/mail/mail.sql.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { prepareShippedDatabase, type PreparedDatabase, type TestDatabase } from '../support/database.ts';
import { makeSmtpSink, type SmtpSink } from '../support/smtp-sink.ts';
import { finalState, loose, runStory, untilGone, type StoryProcess } from './support/kill-runner.ts';
import { CHAPTERS, STORY_START } from './support/kill-story.ts';

/** Where the process is killed, by what it was doing. */
const POINTS = [
  'record.before_write',
  'record.after_write',
  'record.after_history',
  'record.before_commit',
  'record.after_commit',
  'import.after_staging',
  'import.after_chunk',
  'events.after_claim',
  'events.after_runs',
  'events.after_commit',
  'schedule.after_insert',
  'run.after_claim',
  'rule.after_step',
  'run.before_commit',
  'run.after_commit',
  'mail.after_claim',
  'mail.after_sending',
  'mail.after_send',
  'mail.after_sent',
  'mail.inbound_before_commit',
  'mail.inbound_after_commit',
  'forms.after_upload',
  'forms.before_commit',
  'forms.after_commit',
  'document.after_file',
  'signing.after_evidence',
];
/** Kills at each point: one at its first visit, one at a later one, and with KILL_SEEDS=50 (which takes an hour and a half) so many more at visits drawn at random. */
const SEEDS = Number(process.env['KILL_SEEDS'] ?? '2');
const TURNS = ['first', 'later', ...Array.from({ length: SEEDS - 2 }, (_, index) => `random ${String(index + 3)}`)];
/** Where other mails may be on their way: only there can a mail become unknown. */
const MAIL_POINTS = ['mail.after_sending', 'mail.after_send', 'mail.after_sent'];
/** Mails that one process sends at the same time. */
const LANES = 5;
const NEVER = 1_000_000;
const AT_ONCE = 2;

interface Delivery {
  readonly id: string;
  readonly class: string;
  readonly messageId: string;
  readonly state: string;
}

interface Ended {
  readonly killed: StoryProcess;
  readonly successor: StoryProcess;
  /** Campaign mails that stood in doubt when the process was gone. */
  readonly inDoubt: readonly string[];
  readonly unknown: readonly string[];
  readonly loose: Readonly<Record<string, number>>;
  readonly state: readonly string[];
  readonly copies: readonly (Delivery & { readonly wasSent: boolean; readonly copies: number })[];
}

/** Lets at most `AT_ONCE` pieces of work run at the same time. */
function makeGate(): <T>(work: () => Promise<T>) => Promise<T> {
  const lanes = Array.from({ length: AT_ONCE }, () => Promise.resolve());
  let next = 0;
  return (work) => {
    const lane = next % AT_ONCE;
    next += 1;
    const done = (lanes[lane] ?? Promise.resolve()).then(work);
    lanes[lane] = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  };
}

/** Where a chapter begins: the state of the database, the time, and how often each point is visited in it. */
interface Opening {
  readonly chapter: string;
  readonly prepared: PreparedDatabase;
  readonly start: string;
  readonly visits: ReadonlyMap<string, number>;
}

describe('kill -9 at named points of the story', function () {
  this.timeout(600_000 * TURNS.length);
  const openings: Opening[] = [];
  let whole: readonly string[] = [];
  const gate = makeGate();
  const cases = new Map<string, Promise<Ended>>();
  let kills = 0;
  let unknowns = 0;

  const on = async <T>(prepared: PreparedDatabase, work: (database: TestDatabase, sink: SmtpSink, app: App) => Promise<T>): Promise<T> => {
    const database = await prepared.clone(2);
    const sink = await makeSmtpSink();
    const config = loadConfig({ WORKER: 'false' }, '/nowhere');
    const app = makeApp({ ...config, databaseUrl: database.url }, { db: database.db, log: makeLog('silent') });
    try {
      return await work(database, sink, app);
    } finally {
      await app.stop();
      await sink.close();
      await database.drop();
    }
  };

  function kill(point: string, hit: number, opening: Opening): Promise<Ended> {
    return on(opening.prepared, async (database, sink, app) => {
      const before = await deliveries(database);
      const killed = await runStory(database.url, sink.url, opening.start, `${point}:${String(hit)}`);
      await untilGone(database.db);
      const inDoubt = (await deliveries(database)).filter((mail) => mail.state === 'sending' && mail.class === 'campaign').map((mail) => mail.id);
      const successor = await runStory(database.url, sink.url, killed.lastInstant ?? opening.start, '');
      return {
        killed,
        successor,
        inDoubt,
        unknown: (await deliveriesInState(database.db, 'unknown')).map((delivery) => delivery.id).sort(),
        loose: await loose(database.db),
        state: await finalState(app),
        copies: (await deliveries(database)).map((mail) => ({
          ...mail,
          wasSent: before.some((earlier) => earlier.id === mail.id && earlier.state === 'sent'),
          copies: sink.messages.filter((message) => message.parsed.messageId === mail.messageId).length,
        })),
      };
    });
  }

  /** Tells the story chapter by chapter without a fault, keeping the state at the beginning of each. */
  async function tellWhole(): Promise<void> {
    let start = STORY_START;
    let prepared = await prepareShippedDatabase('story', async (db) => {
      const user = { email: 'alma@plan.example', name: 'Alma Administrator', permissionSets: ['administrator'], password: 'correct horse battery' };
      await inTransaction(db, (tx) => addUser(tx, { clock: systemClock }, user, new Set(['administrator']), 'test'));
    });
    const countAll = POINTS.map((point) => `${point}:${String(NEVER)}`).join(',');
    for (const chapter of CHAPTERS.keys()) {
      const sink = await makeSmtpSink();
      let told: StoryProcess | null = null;
      const next = await prepared.further(`story_${chapter}`, async (_db, url) => {
        told = await runStory(url, sink.url, start, countAll, chapter);
      });
      await sink.close();
      const { code, complaints, left, lastInstant } = ended(told);
      expect(code, complaints).to.equal(0);
      openings.push({ chapter, prepared, start, visits: new Map([...left].map(([point, count]) => [point, NEVER - count])) });
      start = lastInstant ?? start;
      prepared = next;
    }
    await on(prepared, async (database, _sink, app) => {
      whole = await finalState(app);
      expect(Object.values(await loose(database.db))).to.deep.equal([0, 0, 0, 0]);
    });
  }

  /**
   * The first visit of a point in one of the chapters that come by it (campaign mails for mail, else another for each point), a later one in
   * the last, and any visits of any chapters.
   */
  function killsAt(point: string, index: number): readonly (readonly [Opening, number])[] {
    const visiting = openings.filter((opening) => (opening.visits.get(point) ?? 0) > 0);
    const last = visiting.at(-1);
    if (last === undefined) throw new Error(`The story never comes by ${point}.`);
    const visits = last.visits.get(point) ?? 0;
    const earlier = visiting.slice(0, -1);
    const first = earlier[MAIL_POINTS.includes(point) ? 0 : index % Math.max(1, earlier.length)] ?? last;
    const hit = Math.max(first === last ? 2 : 1, Math.round(visits * 0.7));
    if (hit > visits) throw new Error(`The story comes by ${point} only once.`);
    const random = seededRandom(index);
    const draw = (below: number): number => Buffer.from(random(4)).readUInt32LE() % below;
    const drawn = TURNS.slice(2).map((): readonly [Opening, number] => {
      const opening = visiting[draw(visiting.length)] ?? last;
      return [opening, 1 + draw(opening.visits.get(point) ?? 1)];
    });
    return [[first, 1], [last, hit], ...drawn];
  }

  before(async () => {
    await tellWhole();
    for (const [index, point] of POINTS.entries()) {
      for (const [turn, [opening, hit]] of killsAt(point, index).entries()) {
        const running = gate(() => kill(point, hit, opening));
        // Looked at by its own test; until then a failure must not end the run.
        running.catch(() => undefined);
        cases.set(`${point} ${TURNS[turn] ?? ''}`, running);
      }
    }
  });

  for (const point of POINTS) {
    for (const turn of TURNS) {
      it(`${point}, ${turn} time: the same final state, no campaign mail twice`, async () => {
        const end = await cases.get(`${point} ${turn}`);
        if (end === undefined) throw new Error('This case was not started.');
        expect(end.killed.signal, end.killed.complaints).to.equal('SIGKILL');
        expect(end.successor.code, end.successor.complaints).to.equal(0);
        expect(end.state).to.deep.equal(whole);
        expect(end.loose).to.deep.equal({ 'open events': 0, 'runs to do or failed': 0, leases: 0, 'mails in hand': 0 });
        expect(end.unknown).to.deep.equal(end.inDoubt);
        expect(end.unknown.length).to.be.at.most(MAIL_POINTS.includes(point) ? LANES : 0);
        for (const mail of end.copies) {
          expect(mail.state, mail.messageId).to.be.oneOf(['sent', 'unknown']);
          if (mail.class === 'campaign') expect(mail.copies, mail.messageId).to.be.at.most(1);
          if (mail.wasSent) expect(mail.copies, mail.messageId).to.equal(0);
          else if (mail.state === 'sent') expect(mail.copies, mail.messageId).to.be.at.least(1);
        }
        kills += 1;
        unknowns += end.unknown.length;
      });
    }
  }

  it(`was killed at every point, ${String(TURNS.length)} times each`, () => {
    expect(kills).to.equal(POINTS.length * TURNS.length);
    process.stdout.write(
      `      ${String(kills)} kills at ${String(POINTS.length)} points: the same final state; ${String(unknowns)} mails unknown and listed; none twice\n`,
    );
  });
});

function ended(told: StoryProcess | null): StoryProcess {
  if (told === null) throw new Error('The story was not told.');
  return told;
}

async function deliveries(database: TestDatabase): Promise<readonly Delivery[]> {
  const found = await rows(database.db, sql`select id, class, message_id, state from credenza.mail_delivery order by id`);
  return found.map((row) => ({ id: String(row['id']), class: String(row['class']), messageId: String(row['message_id']), state: String(row['state']) }));
}
