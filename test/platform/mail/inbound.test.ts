import { expect } from 'chai';
import { createTransport } from 'nodemailer';
import type { InboundMail } from '../../../src/platform/mail/inbound.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import type { RecordEngine } from '../../../src/platform/record/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { CONFIG, inboundOf, makeDesk, START, type Desk } from './fixtures/desk.ts';

interface Sent {
  readonly to?: string;
  readonly from?: string;
  readonly envelopeFrom?: string;
  readonly id?: string;
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly headers?: Record<string, string>;
}

describe('inbound mail', () => {
  let desk: Desk;
  let inbound: InboundMail;
  let port: number;
  let broken = false;
  let ids = 0;

  /** Sends over a real connection; answers the server's words, or its refusal. */
  const send = async (mail: Sent = {}): Promise<string> => {
    const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
    const to = mail.to ?? 'help@plan.example';
    const from = mail.from ?? 'ann@practice.example';
    try {
      const info = await transport.sendMail({
        envelope: { from: mail.envelopeFrom ?? from, to: to.split(',') },
        from: `Ann Lee <${from}>`,
        to,
        messageId: mail.id ?? `<in${(ids += 1)}@practice.example>`,
        subject: mail.subject ?? 'Where is my contract?',
        text: mail.text ?? 'Hello,\nplease tell me.',
        ...(mail.html === undefined ? {} : { html: mail.html }),
        headers: mail.headers ?? {},
      });
      return info.response;
    } catch (error) {
      if (error instanceof Error && 'responseCode' in error) return String(error.responseCode);
      throw error;
    } finally {
      transport.close();
    }
  };
  const list = async (object: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
    (await makeReader().list(desk.db, desk.context(), { object, sort: ['createdAt', 'id'], limit: 500 })).data;
  const deliveries = () =>
    rows(desk.db, sql`select key, recipient, subject, html, headers, about_id::text, class from credenza.mail_delivery order by created_at, id`);
  const clear = async (): Promise<void> => {
    for (const object of ['Note', 'Ticket']) await desk.db.raw(`truncate credenza."${desk.model.objects.get(object)?.table ?? ''}" cascade`);
    await desk.db.raw('truncate credenza.mail_delivery, credenza.inbound_mail, credenza.mail_thread');
  };

  before(async () => {
    desk = await makeDesk();
    const engine = makeRecordEngine();
    // A database that fails on the second of the two records, as a full disk would.
    const failing: RecordEngine = {
      ...engine,
      write: (tx, context, object, items, options) =>
        broken && object === 'Note' ? Promise.reject(new Error('disk full')) : engine.write(tx, context, object, items, options),
    };
    inbound = inboundOf(desk, { engine: failing, maxBytes: 200_000 });
    ({ port } = await inbound.listen(0, '127.0.0.1'));
  });
  after(async () => {
    await inbound.close();
    await desk.drop();
  });
  beforeEach(clear);

  it('R003-01 makes the thread and the message, and queues the acknowledgement with its number, before it answers 250', async () => {
    expect(await send()).to.match(/^250/);
    const [ticket] = await list('Ticket');
    const [note] = await list('Note');
    expect(ticket).to.include({ subject: 'Where is my contract?', sender: 'ann@practice.example', receivedAt: START });
    expect(note).to.include({ subject: 'Where is my contract?', body: 'Hello,\nplease tell me.', machine: false, source: '<in1@practice.example>' });
    expect(note?.['ticket']).to.satisfy((value: unknown) => JSON.stringify(value).includes(String(ticket?.['id'])));
    const [acknowledgement, ...more] = await deliveries();
    expect(more).to.have.length(0);
    expect(acknowledgement).to.include({
      key: `ack:${String(ticket?.['id'])}`,
      recipient: 'ann@practice.example',
      class: 'transactional',
      about_id: ticket?.['id'],
      subject: `We have your message ${String(ticket?.['number'])}`,
    });
    expect(acknowledgement?.['html']).to.contain(String(ticket?.['number'])).and.to.contain(CONFIG.planPhone);
    expect(acknowledgement?.['headers']).to.include({ 'In-Reply-To': '<in1@practice.example>', 'Auto-Submitted': 'auto-replied' });
    const events = await rows(desk.db, sql`select object, cause from credenza.event order by seq`);
    expect(events.slice(-2).map((event) => event['cause'])).to.deep.equal([
      { kind: 'mail', mailbox: 'help' },
      { kind: 'mail', mailbox: 'help' },
    ]);
  });

  it('asks policies for values, as of the day of the message', async () => {
    await send();
    await send({ subject: 'URGENT: no claims paid' });
    expect((await list('Ticket')).map((ticket) => ticket['urgency'])).to.deep.equal([3, 1]);
    desk.clock.advanceTo('2026-03-04T15:00:00.000Z');
    await send({ subject: 'URGENT again' });
    expect((await list('Ticket')).map((ticket) => ticket['urgency'])).to.deep.equal([3, 1, 2]);
  });

  it('R003-01 keeps nothing and defers the sender when a message cannot be made into its records', async () => {
    broken = true;
    try {
      expect(await send({ id: '<fails@practice.example>' })).to.equal('451');
    } finally {
      broken = false;
    }
    expect(await list('Ticket')).to.have.length(0);
    expect(await rows(desk.db, sql`select 1 from credenza.inbound_mail`)).to.have.length(0);
    expect(await send({ id: '<fails@practice.example>' })).to.match(/^250/);
    expect(await list('Ticket')).to.have.length(1);
  });

  it('files the same message once, however often and however simultaneously it comes', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => send({ id: '<same@practice.example>' })));
    expect(answers.every((answer) => answer.startsWith('250'))).to.equal(true);
    expect([await list('Ticket'), await list('Note'), await deliveries()].map((entries) => entries.length)).to.deep.equal([1, 1, 1]);
  });

  it('adds an answer to its thread: by the token in the address, by In-Reply-To to us or to them, by References', async () => {
    await send({ id: '<first@practice.example>' });
    const [acknowledgement] = await deliveries();
    const headers = acknowledgement?.['headers'] as Record<string, string>;
    const [delivery] = await rows(desk.db, sql`select message_id from credenza.mail_delivery`);
    await send({ to: headers['Reply-To'] ?? '' });
    await send({ to: (headers['Reply-To'] ?? '').toUpperCase() });
    await send({ headers: { 'In-Reply-To': String(delivery?.['message_id']) } });
    await send({ headers: { 'In-Reply-To': '<first@practice.example>' } });
    await send({ headers: { References: '<unrelated@x.example> <first@practice.example>' } });
    expect([(await list('Ticket')).length, (await list('Note')).length, (await deliveries()).length]).to.deep.equal([1, 6, 1]);
  });

  it('begins a new thread when the token or the answered message is not known', async () => {
    await send({ to: 'help+t-0123456789abcdef0123456789abcdef@plan.example' });
    await send({ headers: { 'In-Reply-To': '<nobody@elsewhere.example>' } });
    expect(await list('Ticket')).to.have.length(2);
  });

  it('stores what machines send, marks it, and answers none of it', async () => {
    const machines: readonly Sent[] = [
      { headers: { 'Auto-Submitted': 'auto-replied' } },
      { headers: { Precedence: 'bulk' } },
      { headers: { 'X-Auto-Response-Suppress': 'OOF, AutoReply' } },
      { headers: { 'List-Id': '<news.practice.example>' } },
      { envelopeFrom: '' },
      { from: 'MAILER-DAEMON@practice.example' },
      { from: 'help@plan.example' },
    ];
    for (const mail of machines) expect(await send(mail)).to.match(/^250/);
    expect((await list('Note')).map((note) => note['machine'])).to.deep.equal(machines.map(() => true));
    expect(await deliveries()).to.have.length(0);
    await send({ headers: { 'Auto-Submitted': 'no' } });
    expect(await deliveries()).to.have.length(1);
  });

  it('refuses unknown addresses and messages that are too large', async () => {
    expect(await send({ to: 'nobody@plan.example' })).to.equal('550');
    expect(await send({ to: 'help@other.example' })).to.equal('550');
    expect(await send({ text: 'x'.repeat(300_000) })).to.equal('552');
    expect(await list('Ticket')).to.have.length(0);
  });

  it('files odd messages whole: no subject, no Message-ID, only HTML, NUL, a subject beyond the field', async () => {
    const raw = (text: string) => inbound.receive(Buffer.from(text.replaceAll('\n', '\r\n')), { from: 'ann@practice.example', to: 'help@plan.example' });
    expect(await raw('From: ann@practice.example\n\nno headers to speak of')).to.include({ isNewThread: true });
    expect(await raw('From: ann@practice.example\n\nno headers to speak of')).to.equal(null);
    await raw('From: =?utf-8?q?J=C3=BCrgen?= <j@practice.example>\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\nMessage-ID: <u@x>\n\na\0b');
    await raw(`From: ann@practice.example\nSubject: ${'long '.repeat(60)}\nMessage-ID: <l@x>\nContent-Type: text/html\n\n<p>Hello <b>there</b></p>`);
    const tickets = await list('Ticket');
    expect(tickets.map((ticket) => ticket['subject'])).to.deep.equal(['(none)', 'Grüße', `${'long '.repeat(8).slice(0, 39)}…`]);
    expect((await list('Note')).map((note) => note['body'])).to.deep.equal(['no headers to speak of', 'ab', 'Hello there']);
    const [kept] = await rows(desk.db, sql`select raw from credenza.inbound_mail where message_id = '<l@x>'`);
    expect(String(kept?.['raw'])).to.contain('<b>there</b>');
  });

  it('begins a new thread when the old one is in the trash', async () => {
    await send({ id: '<old@practice.example>' });
    const [ticket] = await list('Ticket');
    await inTransaction(desk.db, (tx) =>
      makeRecordEngine().write(tx, desk.context(), 'Ticket', [{ kind: 'delete', id: String(ticket?.['id']) }], { asSystem: true }),
    );
    await send({ headers: { 'In-Reply-To': '<old@practice.example>' } });
    const left = await list('Ticket');
    expect(left.map((entry) => entry['id']))
      .to.have.length(1)
      .and.not.to.include(ticket?.['id']);
  });

  it('says plainly when its port is taken', async () => {
    const second = inboundOf(desk);
    const error = await second.listen(port, '127.0.0.1').then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(String(error)).to.contain(String(port)).and.to.contain('SMTP_LISTEN_PORT');
    await second.close();
  });
});
