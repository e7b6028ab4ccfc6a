import { expect } from 'chai';
import { once } from 'node:events';
import { setTimeout as passes } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { keepLease } from '../../../src/platform/mail/lease.ts';
import { makeMailSender } from '../../../src/platform/mail/sender.ts';
import type { QueueMail } from '../../../src/platform/mail/types.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { makeFileStore } from '../../../src/platform/files/store.ts';
import { makeSmtpSink, type SinkStep } from '../../support/smtp-sink.ts';
import { makeDesk, states, type Desk } from './fixtures/desk.ts';

describe('lease of a mail that is being sent', () => {
  let desk: Desk;
  const files = makeFileStore({ newId: randomUUID });

  before(async () => {
    desk = await makeDesk();
  });
  after(() => desk.drop());
  beforeEach(async () => {
    await desk.db.raw('truncate credenza.mail_delivery, credenza.mail_suppression');
  });

  const queue = async (to: string, mailClass: QueueMail['class']): Promise<string> =>
    (
      await inTransaction(desk.db, (tx) =>
        desk.queue.queue(tx, desk.context(), {
          template: 'mail/invite',
          to,
          class: mailClass,
          key: to,
          data: { record: { name: 'Ann', day: '2026-03-05' } },
          about: null,
        }),
      )
    ).deliveryId;
  const senderTo = (smtpUrl: string, leaseMs: number) => makeMailSender({ smtpUrl, clock: systemClock, log: desk.log, files, leaseMs });

  it('lasts as long as a server that is slow at each step, so that no second sender begins meanwhile and what arrived is sent', async () => {
    const leaseMs = 3000;
    const asked: SinkStep[] = [];
    const slow = await makeSmtpSink({
      pause: async (step) => {
        asked.push(step);
        await passes(leaseMs / 3);
        meanwhile.push(await second.sendDue(desk.db));
      },
    });
    const first = senderTo(slow.url, leaseMs);
    const quick = await makeSmtpSink();
    const second = senderTo(quick.url, leaseMs);
    const meanwhile: object[] = [];
    try {
      await queue('slow-t@practice.example', 'transactional');
      await queue('slow-c@practice.example', 'campaign');
      expect(await first.sendDue(desk.db)).to.include({ sent: 2, unknown: 0, requeued: 0 });
      expect(new Set(asked)).to.deep.equal(new Set(['greeting', 'mail', 'rcpt', 'end']));
      for (const counts of meanwhile) expect(counts).to.include({ sent: 0, unknown: 0, requeued: 0 });
      expect(slow.messages.map((message) => message.to[0]).sort()).to.deep.equal(['slow-c@practice.example', 'slow-t@practice.example']);
      expect(quick.messages).to.have.length(0);
      expect(await rows(desk.db, sql`select state, attempt from credenza.mail_delivery`)).to.deep.equal([
        { state: 'sent', attempt: 1 },
        { state: 'sent', attempt: 1 },
      ]);
    } finally {
      first.close();
      second.close();
      await slow.close();
      await quick.close();
    }
  });

  it('cuts the connection when the delivery is another sender’s by now', async () => {
    const leaseMs = 600;
    let id = '';
    const taken = await makeSmtpSink({
      pause: async (step) => {
        if (step !== 'rcpt') return;
        await run(desk.db, sql`update credenza.mail_delivery set attempt = attempt + 1 where id = ${id}::uuid`);
        await passes(leaseMs * 3);
      },
    });
    const sender = senderTo(taken.url, leaseMs);
    try {
      id = await queue('taken@practice.example', 'transactional');
      expect(await sender.sendDue(desk.db)).to.include({ sent: 0, requeued: 0 });
      expect(await states(desk.db), 'the late answer touches nothing').to.deep.equal({ sending: 1 });
    } finally {
      sender.close();
      await taken.close();
    }
    expect([...taken.messages, ...taken.dropped]).to.have.length(0);
  });

  it('ends the work before the lease does when the lease cannot be renewed, and says so', async () => {
    const failures: unknown[] = [];
    const broken = {
      leaseMs: 300,
      mostMs: 60_000,
      renew: () => Promise.reject(new Error('no database')),
      onFailure: (error: unknown) => void failures.push(error),
    };
    const lease = keepLease(broken);
    const over = passes(broken.leaseMs, 'the lease ended');
    expect(await Promise.race([once(lease.signal, 'abort').then(() => 'cut off'), over])).to.equal('cut off');
    await lease.release();
    expect(failures.map(String)).to.include('Error: no database');
  });

  it('ends work that never comes to an end, however often the lease is renewed', async () => {
    let renewals = 0;
    const lease = keepLease({ leaseMs: 300, mostMs: 1000, renew: () => Promise.resolve((renewals += 1) > 0), onFailure: () => undefined });
    await once(lease.signal, 'abort');
    await lease.release();
    expect(renewals).to.be.at.least(2);
    expect(String(lease.signal.reason)).to.contain('cut off after');
  });
});
