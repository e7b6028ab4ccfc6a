import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { besideModule } from '../../../src/platform/child.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { makeMailSender } from '../../../src/platform/mail/sender.ts';
import { platformTable, rows, schemaOf, sql } from '../../../src/platform/sql.ts';
import { makeSmtpSink, type SmtpSink } from '../../support/smtp-sink.ts';
import { makeDesk, type Desk } from './fixtures/desk.ts';

/** The whole: CAMPAIGN_MAILS=50000 CAMPAIGN_RESTARTS=10 CAMPAIGN_KILLS=20. */
const MAILS = Number(process.env['CAMPAIGN_MAILS'] ?? '1200');
const RESTARTS = Number(process.env['CAMPAIGN_RESTARTS'] ?? '3');
const KILLS = Number(process.env['CAMPAIGN_KILLS'] ?? '4');
/** Mails that one process has on their way at the same time. */
const LANES = 5;
const QUEUED_TOGETHER = 500;
const HOUR_MS = 60 * 60_000;

describe(`a campaign of ${String(MAILS)} mails`, function () {
  this.timeout(HOUR_MS);
  let desk: Desk;
  let sink: SmtpSink;
  let running: ChildProcess[] = [];
  /** What happens when so many mails have come in. */
  let milestones: { readonly at: number; readonly reached: () => void }[] = [];
  const copies = new Map<string, number>();
  let arrived = 0;

  before(async () => {
    desk = await makeDesk();
    sink = await makeSmtpSink({
      hold: (recipient) => {
        copies.set(recipient, (copies.get(recipient) ?? 0) + 1);
        arrived += 1;
        for (const { at, reached } of milestones) if (at === arrived) reached();
        // Kept apart by its recipient alone: of 50,000 the texts would fill the memory.
        sink.messages.length = 0;
        return Promise.resolve();
      },
    });
  });
  after(async () => {
    await sink.close();
    await desk.drop();
  });
  afterEach(() => {
    for (const child of running) child.kill('SIGKILL');
    running = [];
  });

  const come = (at: number): Promise<void> => new Promise((reached) => milestones.push({ at, reached }));

  async function start(): Promise<ChildProcess> {
    const child = fork(fileURLToPath(besideModule(import.meta.url, 'fixtures/mailing-child')), [desk.url, schemaOf(desk.db), sink.url], {
      execArgv: import.meta.url.endsWith('.ts') ? ['--import=tsx'] : [],
      stdio: 'inherit',
    });
    await once(child, 'message');
    running.push(child);
    return child;
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    running = running.filter((other) => other !== child);
  }

  async function queueAll(): Promise<void> {
    await desk.db.raw('truncate credenza.mail_delivery');
    copies.clear();
    arrived = 0;
    milestones = [];
    for (let from = 0; from < MAILS; from += QUEUED_TOGETHER) {
      const mails = Array.from({ length: Math.min(QUEUED_TOGETHER, MAILS - from) }, (_, index) => from + index);
      await inTransaction(desk.db, async (tx) => {
        for (const index of mails) {
          await desk.queue.queue(tx, desk.context(), {
            template: 'mail/invite',
            to: `member${String(index)}@practice.example`,
            class: 'campaign',
            key: `campaign-${String(index)}`,
            data: { record: { name: 'Ann', day: '2026-03-05' } },
            about: null,
          });
        }
      });
    }
  }

  async function byState(): Promise<Readonly<Record<string, number>>> {
    const found = await rows(desk.db, sql`select state, count(*)::int as count from ${platformTable(desk.db, 'mail_delivery')} group by state`);
    return Object.fromEntries(found.map((row) => [String(row['state']), Number(row['count'])]));
  }

  it(`goes to everybody once while the processes are replaced ${String(RESTARTS)} times in good order (SIGTERM)`, async () => {
    await queueAll();
    const all = come(MAILS);
    const turns = Array.from({ length: RESTARTS }, (_, turn) => come(Math.round((MAILS * (turn + 1)) / (RESTARTS + 2))));
    let serving = await start();
    for (const turn of turns) {
      await turn;
      const next = await start();
      await end(serving, 'SIGTERM');
      serving = next;
    }
    await all;
    await end(serving, 'SIGTERM');
    expect(copies.size).to.equal(MAILS);
    expect(Math.max(...copies.values()), 'copies of one mail').to.equal(1);
    expect(await byState()).to.deep.equal({ sent: MAILS });
  });

  it(`goes to nobody twice while ${String(KILLS)} processes are killed, and what is in doubt is listed`, async () => {
    await queueAll();
    const turns = Array.from({ length: KILLS }, (_, turn) => come(Math.round((MAILS * (turn + 1)) / (KILLS + 3))));
    let serving = await start();
    for (const turn of turns) {
      await turn;
      await end(serving, 'SIGKILL');
      serving = await start();
    }
    await end(serving, 'SIGKILL');
    // What the killed processes had claimed is free again when their leases are over.
    const later = { nowMs: () => systemClock.nowMs() + HOUR_MS, now: () => new Date(later.nowMs()).toISOString() };
    const sender = makeMailSender({
      smtpUrl: sink.url,
      clock: later,
      log: desk.log,
      files: { stat: () => Promise.resolve(null), read: () => Promise.reject(new Error('no files here')) },
    });
    let sent = 1;
    while (sent > 0) sent = Object.values(await sender.sendDue(desk.db)).reduce((sum, count) => sum + count, 0);
    sender.close();

    const { sent: delivered = 0, unknown = 0, ...others } = await byState();
    process.stdout.write(`      ${String(delivered)} sent, ${String(unknown)} in doubt after ${String(KILLS + 1)} kills\n`);
    expect(others).to.deep.equal({});
    expect(delivered + unknown).to.equal(MAILS);
    expect(Math.max(...copies.values()), 'copies of one mail').to.equal(1);
    expect(unknown, 'never more than were on their way').to.be.at.most((KILLS + 1) * LANES);
    const doubted = await rows(desk.db, sql`select recipient from ${platformTable(desk.db, 'mail_delivery')} where state = 'unknown'`);
    const silent = doubted.filter((row) => !copies.has(String(row['recipient']))).length;
    expect(copies.size, 'whoever counts as written to was').to.equal(MAILS - silent);
  });
});
