import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { makeFileStore } from '../../../src/platform/files/store.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { isDeadAddress, parseDeliveryStatus, returnedMessageId } from '../../../src/platform/mail/delivery-status.ts';
import { returnPath, splitReturnPath } from '../../../src/platform/mail/address.ts';
import type { InboundMail } from '../../../src/platform/mail/inbound.ts';
import type { DeliverySummary } from '../../../src/platform/mail/mail.sql.ts';
import { makeMailSender } from '../../../src/platform/mail/sender.ts';
import type { QueueMail } from '../../../src/platform/mail/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { makeSmtpSink, type SmtpSink } from '../../support/smtp-sink.ts';
import { inboundOf, makeDesk, type Desk } from './fixtures/desk.ts';

const BOUNCES = 'bounces@plan.example';

describe('reports about mails that we sent (RFC 3464)', () => {
  let desk: Desk;
  let sink: SmtpSink;
  let inbound: InboundMail;
  let told: DeliverySummary[] = [];
  let numbers = 0;
  const files = makeFileStore({ newId: randomUUID });
  before(async () => {
    desk = await makeDesk();
    sink = await makeSmtpSink();
    inbound = inboundOf(desk, { files, bounceAddress: BOUNCES, onBounce: (_tx, delivery) => Promise.resolve(void told.push(delivery)) });
  });
  after(async () => {
    await inbound.close();
    await sink.close();
    await desk.drop();
  });
  beforeEach(async () => {
    told = [];
    sink.messages.length = 0;
    for (const object of ['Enclosure', 'Note', 'Ticket']) await desk.db.raw(`truncate credenza."${desk.model.objects.get(object)?.table ?? ''}" cascade`);
    await desk.db.raw('truncate credenza.mail_delivery, credenza.mail_suppression, credenza.inbound_mail, credenza.mail_thread');
  });

  /** Queues and sends a mail; answers its delivery and the return path that the receiving server saw. */
  async function send(to: string, more: Partial<QueueMail> = {}): Promise<{ readonly id: string; readonly from: string }> {
    const mail: QueueMail = {
      template: 'mail/invite',
      to,
      class: 'campaign',
      key: `b${String((numbers += 1))}`,
      data: { record: { name: 'Ann', day: '2026-03-05' } },
      about: null,
      ...more,
    };
    const { deliveryId } = await inTransaction(desk.db, (tx) => desk.queue.queue(tx, desk.context(), mail));
    const sender = makeMailSender({ smtpUrl: sink.url, clock: desk.clock, log: desk.log, files, bounceAddress: BOUNCES });
    await sender.sendDue(desk.db);
    sender.close();
    return { id: deliveryId, from: sink.messages.at(-1)?.from ?? '' };
  }

  interface Report {
    readonly to?: string;
    readonly action?: string;
    readonly status?: string;
    readonly returned?: string | null;
    readonly id?: string;
  }
  /** A report as Postfix writes it. */
  async function report({ to = BOUNCES, action = 'failed', status = '5.1.1', returned = null, id }: Report): Promise<unknown> {
    const part = returned === null ? [] : ['--r', 'Content-Type: message/rfc822', '', `Message-ID: ${returned}`, 'Subject: Join us', '', 'Hello', ''];
    const lines = [
      'From: Mail Delivery System <mailer-daemon@mx.practice.example>',
      `To: ${to}`,
      'Subject: Undelivered Mail Returned to Sender',
      `Message-ID: ${id ?? `<r${String((numbers += 1))}@mx.practice.example>`}`,
      'Content-Type: multipart/report; report-type=delivery-status; boundary="r"',
      '',
      '--r',
      'Content-Type: text/plain',
      '',
      'I could not deliver it.',
      '--r',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.practice.example',
      '',
      'Final-Recipient: rfc822; ann@practice.example',
      `Action: ${action}`,
      `Status: ${status}`,
      'Diagnostic-Code: smtp; 550 unknown',
      ' user here',
      '',
      ...part,
      '--r--',
      '',
    ];
    return inbound.receive(Buffer.from(lines.join('\r\n')), { from: '', to });
  }
  const state = async (id: string): Promise<Readonly<Record<string, unknown>>> =>
    (await rows(desk.db, sql`select state, last_error from credenza.mail_delivery where id = ${id}::uuid`))[0] ?? {};
  const suppressed = async (): Promise<unknown[]> =>
    (await rows(desk.db, sql`select address, reason from credenza.mail_suppression order by address`)).map(
      (row) => `${String(row['address'])} ${String(row['reason'])}`,
    );
  const count = async (object: string): Promise<number> => (await makeReader().list(desk.db, desk.context(), { object })).data.length;

  it('come back by a return path of their own, mark the delivery as bounced, and suppress a dead address, once', async () => {
    const { id, from } = await send('Ann@practice.example');
    expect(from).to.equal(returnPath(BOUNCES, id));
    expect(await report({ to: from })).to.equal(null);
    expect(await state(id)).to.deep.equal({ state: 'bounced', last_error: '5.1.1 smtp; 550 unknown user here' });
    expect(await suppressed()).to.deep.equal(['ann@practice.example bounce']);
    await report({ to: from });
    expect(told.map((delivery) => [delivery.id, delivery.state])).to.deep.equal([[id, 'bounced']]);
    expect(await count('Ticket'), 'no inquiry is made of it').to.equal(0);
    const kept = await rows(desk.db, sql`select mailbox, delivery_id::text from credenza.inbound_mail`);
    expect(kept).to.deep.equal([
      { mailbox: '(bounces)', delivery_id: id },
      { mailbox: '(bounces)', delivery_id: id },
    ]);
    const again = await send('ann@practice.example', { class: 'transactional' });
    expect(await state(again.id)).to.include({ state: 'suppressed' });
  });

  it('find their mail by the Message-ID that they return where the return path says nothing', async () => {
    const { id } = await send('ann@practice.example');
    const other = await send('bo@practice.example');
    await report({ returned: `<${id}@plan.example>` });
    expect([(await state(id))['state'], (await state(other.id))['state']]).to.deep.equal(['bounced', 'sent']);
  });

  it('about a delay change nothing; a failure that may pass, or that is about the message, suppresses nobody', async () => {
    const late = await send('late@practice.example');
    await report({ to: late.from, action: 'delayed', status: '4.4.1' });
    expect(await state(late.id)).to.include({ state: 'sent' });
    const full = await send('full@practice.example');
    await report({ to: full.from, status: '4.2.2' });
    const spam = await send('spam@practice.example');
    await report({ to: spam.from, status: '5.7.1' });
    expect([(await state(full.id))['state'], (await state(spam.id))['state']]).to.deep.equal(['bounced', 'bounced']);
    expect(await suppressed()).to.deep.equal([]);
  });

  it('settle a mail of which nobody knew whether it arrived, and hold back one that waits to be sent again', async () => {
    const unknown = await send('ann@practice.example');
    await run(desk.db, sql`update credenza.mail_delivery set state = 'unknown' where id = ${unknown.id}::uuid`);
    await report({ to: unknown.from });
    const waiting = await send('bo@practice.example', { class: 'transactional' });
    await run(desk.db, sql`update credenza.mail_delivery set state = 'queued' where id = ${waiting.id}::uuid`);
    await report({ to: waiting.from });
    expect([(await state(unknown.id))['state'], (await state(waiting.id))['state']]).to.deep.equal(['bounced', 'bounced']);
  });

  it('R003-01 to a mailbox are filed with the thread that our mail was about, and mark it as bounced all the same', async () => {
    await inbound.receive(Buffer.from('From: ann@practice.example\r\nMessage-ID: <q@practice.example>\r\nSubject: Hi\r\n\r\nHello\r\n'), {
      from: 'ann@practice.example',
      to: 'help@plan.example',
    });
    const [ticket] = (await makeReader().list(desk.db, desk.context(), { object: 'Ticket' })).data;
    const answer = await send('ann@practice.example', { class: 'transactional', about: { object: 'Ticket', id: ticket?.id ?? '' }, mailbox: 'help' });
    expect(await report({ to: 'help@plan.example', returned: `<${answer.id}@plan.example>` })).to.deep.include({ isNewThread: false, isAcknowledged: false });
    expect(await state(answer.id)).to.include({ state: 'bounced' });
    expect([await count('Ticket'), await count('Note'), await count('Enclosure')]).to.deep.equal([1, 2, 1]);
  });

  it('about mail of others, and whatever else comes to the address of bounces, are kept and change nothing', async () => {
    const { id } = await send('ann@practice.example');
    const before = desk.logged().length;
    await report({ returned: '<somebody@elsewhere.example>' });
    await report({ to: returnPath(BOUNCES, '01900000-0000-7000-8000-0000000000ff') });
    await inbound.receive(Buffer.from('From: ann@practice.example\r\nMessage-ID: <o@x>\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n'), {
      from: 'ann@practice.example',
      to: returnPath(BOUNCES, id),
    });
    expect(await state(id)).to.include({ state: 'sent' });
    expect(await suppressed()).to.deep.equal([]);
    expect(await rows(desk.db, sql`select 1 from credenza.inbound_mail`)).to.have.length(3);
    expect(desk.logged().slice(before)).to.have.length(3);
    expect(desk.logged().slice(before).join('')).to.contain('about no mail of ours').and.not.to.contain('ann@');
  });

  it('leave with the sender as return path where no address for bounces is set', async () => {
    await inTransaction(desk.db, (tx) =>
      desk.queue.queue(tx, desk.context(), {
        template: 'mail/twin',
        to: 'ann@practice.example',
        class: 'campaign',
        key: 'plain',
        data: { record: { name: 'Ann' } },
        about: null,
      }),
    );
    const sender = makeMailSender({ smtpUrl: sink.url, clock: desk.clock, log: desk.log, files });
    await sender.sendDue(desk.db);
    sender.close();
    expect(sink.messages.at(-1)?.from).to.equal('network@plan.example');
  });
});

describe('what a report says', () => {
  it('is read from its blocks, whatever their lines and letters look like', () => {
    const text =
      'Reporting-MTA: dns; mx\r\n\r\nFINAL-RECIPIENT: rfc822; a@b.example\r\nAction: Failed (for good)\r\nStatus: 5.1.1 (unknown)\r\nDiagnostic-Code: smtp;\r\n\t550 no\r\n \r\nAction: delayed\r\nStatus: nonsense\r\n';
    expect(parseDeliveryStatus(text)).to.deep.equal([
      { action: 'failed', status: '5.1.1', diagnostic: 'smtp; 550 no' },
      { action: 'delayed', status: '', diagnostic: '' },
    ]);
    expect(parseDeliveryStatus('')).to.deep.equal([]);
    expect(returnedMessageId('Subject: x\r\nMessage-Id:\r\n <a.b@plan.example>\r\n\r\nMessage-ID: <not-this@x>')).to.equal('<a.b@plan.example>');
    expect(returnedMessageId('Subject: x\r\n\r\nMessage-ID: <not-this@x>')).to.equal(null);
  });

  it('makes an address dead only by a permanent failure that is about the address', () => {
    expect(['5.1.1', '5.2.1', '5.0.0', '5.4.4', '5.1.10'].map(isDeadAddress)).to.deep.equal([true, true, true, true, true]);
    expect(['4.2.2', '5.7.1', '5.7.26', '5.6.0', '5.3.4', '', '2.0.0'].map(isDeadAddress)).to.deep.equal([false, false, false, false, false, false, false]);
  });

  it('comes to an address from which the delivery is read back', () => {
    const id = '01920000-0000-7000-8000-00000000000a';
    expect(splitReturnPath(BOUNCES, returnPath(BOUNCES, id).toUpperCase())).to.deep.equal({ id });
    expect(splitReturnPath(BOUNCES, 'Bounces@plan.example')).to.deep.equal({ id: null });
    for (const other of ['help@plan.example', 'bounces@other.example', 'bounces+d-1@plan.example', `bounces+d-${'g'.repeat(32)}@plan.example`])
      expect(splitReturnPath(BOUNCES, other), other).to.equal(null);
  });
});
