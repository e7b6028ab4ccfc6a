import { expect } from 'chai';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { besideModule } from '../../../src/platform/child.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { deliveriesInState, isMailDue } from '../../../src/platform/mail/mail.sql.ts';
import { makeMailSender } from '../../../src/platform/mail/sender.ts';
import { holds, schemaOf } from '../../../src/platform/sql.ts';
import { makeSmtpSink, type SmtpSink } from '../../support/smtp-sink.ts';
import { makeDesk, states, type Desk } from './fixtures/desk.ts';

const POINTS = ['mail.after_claim', 'mail.after_sending', 'mail.after_send', 'mail.after_sent'];
const MAILS = 30;

describe('mail sender, killed', () => {
  let desk: Desk;
  let sink: SmtpSink;

  before(async () => {
    desk = await makeDesk();
    sink = await makeSmtpSink();
  });
  after(async () => {
    await sink.close();
    await desk.drop();
  });

  for (const point of POINTS) {
    for (const hit of point === 'mail.after_claim' ? [1] : [1, 13]) {
      it(`loses nothing and sends no campaign mail twice when killed at ${point}, time ${hit}`, async () => {
        await desk.db.raw('truncate credenza.mail_delivery');
        sink.messages.length = 0;
        const ids = new Map<string, 'campaign' | 'transactional'>();
        for (let index = 0; index < MAILS; index += 1) {
          const mailClass = index % 2 === 0 ? 'campaign' : 'transactional';
          const { deliveryId } = await inTransaction(desk.db, (tx) =>
            desk.queue.queue(tx, desk.context(), {
              template: 'mail/invite',
              to: `k${index}@practice.example`,
              class: mailClass,
              key: `${point}${hit}-${index}`,
              data: { record: { name: 'Ann', day: '2026-03-05' } },
              about: null,
            }),
          );
          ids.set(`<${deliveryId}@plan.example>`, mailClass);
        }
        const child = fork(
          fileURLToPath(besideModule(import.meta.url, 'fixtures/send-child')),
          [desk.url, schemaOf(desk.db), sink.url, `${point}:${hit}`, desk.clock.now()],
          { stdio: 'inherit' },
        );
        const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
        expect(signal, 'the child killed itself at the point').to.equal('SIGKILL');

        desk.clock.advanceTo(new Date(desk.clock.nowMs() + 20 * 60_000).toISOString());
        const sender = makeMailSender({
          smtpUrl: sink.url,
          clock: desk.clock,
          log: desk.log,
          files: { stat: () => Promise.resolve(null), read: () => Promise.reject(new Error('no files here')) },
        });
        expect(await holds(desk.db, isMailDue(desk.db, desk.clock.now())), 'the worker looks after what was left').to.equal(true);
        await sender.sendDue(desk.db);
        sender.close();

        const copies = new Map<string, number>();
        for (const message of sink.messages) copies.set(message.parsed.messageId ?? '', (copies.get(message.parsed.messageId ?? '') ?? 0) + 1);
        const unknown = new Set((await deliveriesInState(desk.db, 'unknown')).map((delivery) => `<${delivery.id}@plan.example>`));
        for (const [messageId, mailClass] of ids) {
          const count = copies.get(messageId) ?? 0;
          if (mailClass === 'campaign') expect(count, `${messageId} campaign`).to.be.at.most(1);
          if (!unknown.has(messageId)) expect(count, `${messageId} arrived`).to.be.at.least(1);
        }
        expect(unknown.size, 'never more than were in flight').to.be.at.most(5);
        const found = await states(desk.db);
        expect(Object.keys(found).every((state) => state === 'sent' || state === 'unknown')).to.equal(true);
        expect(Object.values(found).reduce((sum, count) => sum + count, 0)).to.equal(MAILS);
      });
    }
  }
});
