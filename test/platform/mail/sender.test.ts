import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { makeFileStore } from '../../../src/platform/files/store.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { claimDue, deliveriesInState, insertSuppression, isMailDue, markSending, type DeliverySummary } from '../../../src/platform/mail/mail.sql.ts';
import { makeMailSender, type MailSender } from '../../../src/platform/mail/sender.ts';
import type { QueueMail } from '../../../src/platform/mail/types.ts';
import { holds, rows, run, sql } from '../../../src/platform/sql.ts';
import { makeSmtpSink, type SinkRule, type SmtpSink } from '../../support/smtp-sink.ts';
import { makeDesk, states, type Desk } from './fixtures/desk.ts';

const MINUTE = 60_000;

describe('mail sender', () => {
  let desk: Desk;
  let sink: SmtpSink;
  let sender: MailSender;
  let rules = new Map<string, SinkRule>();
  let told: DeliverySummary[] = [];
  let keys = 0;
  const files = makeFileStore({ newId: randomUUID });

  const makeSender = (smtpUrl: string | null, sandbox = false): MailSender =>
    makeMailSender({ smtpUrl, clock: desk.clock, log: desk.log, files, sandbox, onOutcome: (_tx, delivery) => Promise.resolve(void told.push(delivery)) });
  const queue = async (to: string, mailClass: QueueMail['class'] = 'campaign', more: Partial<QueueMail> = {}): Promise<string> => {
    const mail: QueueMail = {
      template: 'mail/invite',
      to,
      class: mailClass,
      key: `s${(keys += 1)}`,
      data: { record: { name: 'Ann', day: '2026-03-05' } },
      about: null,
      ...more,
    };
    return (await inTransaction(desk.db, (tx) => desk.queue.queue(tx, desk.context(), mail))).deliveryId;
  };
  const state = async (id: string): Promise<Record<string, unknown>> =>
    (
      await rows(desk.db, sql`select state, attempt, last_error, next_attempt_at, sent_at, lease_until from credenza.mail_delivery where id = ${id}::uuid`)
    )[0] ?? {};
  const pass = (ms: number): void => desk.clock.advanceTo(new Date(desk.clock.nowMs() + ms).toISOString());

  before(async () => {
    desk = await makeDesk();
    sink = await makeSmtpSink({ rules: (recipient) => rules.get(recipient) ?? 'accept' });
    sender = makeSender(sink.url);
  });
  after(async () => {
    sender.close();
    await sink.close();
    await desk.drop();
  });
  beforeEach(async () => {
    rules = new Map();
    told = [];
    sink.messages.length = 0;
    sink.dropped.length = 0;
    await desk.db.raw('truncate credenza.mail_delivery, credenza.mail_suppression');
  });

  it('sends each due mail once, with its headers and to one recipient', async () => {
    const ids = await Promise.all(Array.from({ length: 120 }, (_, index) => queue(`p${index}@practice.example`)));
    expect(await holds(desk.db, isMailDue(desk.db, desk.clock.now()))).to.equal(true);
    const counts = await sender.sendDue(desk.db);
    expect(counts).to.deep.equal({ sent: 120, captured: 0, bounced: 0, failed: 0, unknown: 0, suppressed: 0, requeued: 0 });
    expect(new Set(sink.messages.map((message) => message.parsed.messageId))).to.deep.equal(new Set(ids.map((id) => `<${id}@plan.example>`)));
    expect(sink.messages.every((message) => message.to.length === 1 && message.from === 'network@plan.example')).to.equal(true);
    const [message] = sink.messages;
    expect(message?.raw)
      .to.match(/^From: "?Network Operations"? <network@plan\.example>\r?$/m)
      .and.to.match(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r?$/m)
      .and.to.match(/^List-Unsubscribe:\s+<https:\/\/plan\.example\/portal\/unsubscribe\/[\w-]{43}>\r?$/m);
    expect(message?.parsed.text).to.contain('HELLO ANN');
    expect(await holds(desk.db, isMailDue(desk.db, desk.clock.now()))).to.equal(false);
    expect((await sender.sendDue(desk.db)).sent).to.equal(0);
    expect(sink.messages).to.have.length(120);
  });

  it('sends a mail once when two senders work at the same time', async () => {
    const other = makeSender(sink.url);
    await Promise.all(Array.from({ length: 60 }, (_, index) => queue(`two${index}@practice.example`)));
    const [a, b] = await Promise.all([sender.sendDue(desk.db), other.sendDue(desk.db)]);
    other.close();
    expect((a?.sent ?? 0) + (b?.sent ?? 0)).to.equal(60);
    expect(sink.messages).to.have.length(60);
  });

  it('sends attachments from the file store', async () => {
    const file = await inTransaction(desk.db, (tx) =>
      files.put(tx, { name: 'a.txt', mediaType: 'text/plain', bytes: Buffer.from('the attachment'), by: 'test', at: desk.clock.now() }),
    );
    await queue('att@practice.example', 'transactional', { attachments: [{ fileId: file.id, name: 'note.txt' }] });
    const lost = await queue('lost@practice.example', 'transactional', { attachments: [{ fileId: randomUUID(), name: 'gone.txt' }] });
    expect(await sender.sendDue(desk.db)).to.include({ sent: 1, failed: 1 });
    expect(sink.messages[0]?.parsed.attachments.map((entry) => [entry.filename, entry.content.toString()])).to.deep.equal([['note.txt', 'the attachment']]);
    expect((await state(lost))['last_error']).to.contain('does not exist');
  });

  it('ends a mail whose attachment is damaged, and holds up no other', async () => {
    const put = (bytes: string) =>
      inTransaction(desk.db, (tx) => files.put(tx, { name: 'a.txt', mediaType: 'text/plain', bytes: Buffer.from(bytes), by: 'test', at: desk.clock.now() }));
    const damaged = await put('to be damaged');
    await run(desk.db, sql`update credenza.file_chunk set bytes = 'xx'::bytea where sha256 = ${damaged.sha256}`);
    const stuck = await queue('stuck@practice.example', 'campaign', { attachments: [{ fileId: damaged.id, name: 'note.txt' }] });
    for (let n = 0; n < 9; n += 1) await queue(`other${String(n)}@practice.example`);
    expect(await sender.sendDue(desk.db)).to.include({ sent: 9, failed: 1, unknown: 0 });
    expect(await state(stuck)).to.include({ state: 'failed' });
  });

  it('bounces a refused recipient, suppresses the dead address for all mail, and tells the hook', async () => {
    rules.set('dead@practice.example', 550).set('full@practice.example', 552).set('picky@practice.example', 'refuse-data');
    const dead = await queue('dead@practice.example', 'transactional');
    await queue('full@practice.example', 'transactional');
    await queue('picky@practice.example');
    expect(await sender.sendDue(desk.db)).to.include({ bounced: 3, sent: 0 });
    expect(await state(dead)).to.include({ state: 'bounced' });
    expect(told.map((entry) => entry.recipient).sort()).to.deep.equal(['dead@practice.example', 'full@practice.example', 'picky@practice.example']);
    const suppressed = await rows(desk.db, sql`select address, reason from credenza.mail_suppression order by address`);
    expect(suppressed).to.deep.equal([{ address: 'dead@practice.example', reason: 'bounce' }]);
    const again = await queue('dead@practice.example', 'transactional');
    expect((await state(again))['state']).to.equal('suppressed');
  });

  it('tries later when the server asks for it, with growing pauses, and gives up after three days', async () => {
    rules.set('grey@practice.example', 450).set('slow@practice.example', 'greylist-data');
    const id = await queue('grey@practice.example');
    const slow = await queue('slow@practice.example');
    expect(await sender.sendDue(desk.db)).to.include({ requeued: 2, bounced: 0 });
    expect((await sender.sendDue(desk.db)).requeued).to.equal(0);
    pass(5 * MINUTE);
    expect((await sender.sendDue(desk.db)).requeued).to.equal(2);
    pass(5 * MINUTE);
    expect((await sender.sendDue(desk.db)).requeued, 'the second pause is longer').to.equal(0);
    rules.delete('grey@practice.example');
    pass(5 * MINUTE);
    expect(await sender.sendDue(desk.db)).to.include({ sent: 1, requeued: 1 });
    expect(await state(id)).to.include({ state: 'sent', attempt: 3 });
    pass(73 * 60 * MINUTE);
    expect(await sender.sendDue(desk.db)).to.include({ failed: 1 });
    expect((await state(slow))['last_error']).to.contain('three days');
  });

  it('never sends a campaign mail again whose fate is not known, and lists it; other mail goes again with the same Message-ID', async () => {
    rules.set('c@practice.example', 'drop-after-data').set('t@practice.example', 'drop-after-data');
    const campaign = await queue('c@practice.example');
    const transactional = await queue('t@practice.example', 'transactional');
    expect(await sender.sendDue(desk.db)).to.include({ unknown: 1, requeued: 1 });
    rules = new Map();
    pass(10 * MINUTE);
    expect(await sender.sendDue(desk.db)).to.include({ sent: 1 });
    expect(sink.messages.map((message) => message.parsed.messageId)).to.deep.equal([`<${transactional}@plan.example>`]);
    expect(sink.dropped.map((message) => message.parsed.messageId)).to.have.members([`<${campaign}@plan.example>`, `<${transactional}@plan.example>`]);
    expect((await deliveriesInState(desk.db, 'unknown')).map((entry) => entry.id)).to.deep.equal([campaign]);
  });

  it('tries a campaign mail again when the connection broke before the message began to leave', async () => {
    rules.set('early@practice.example', 'drop');
    const id = await queue('early@practice.example');
    expect(await sender.sendDue(desk.db)).to.include({ unknown: 0, requeued: 1 });
    rules = new Map();
    pass(10 * MINUTE);
    expect(await sender.sendDue(desk.db)).to.include({ sent: 1 });
    expect(await state(id)).to.include({ state: 'sent', attempt: 2 });
  });

  it('settles what a killed sender left in `sending`: campaign unknown, other mail sent again', async () => {
    const campaign = await queue('kc@practice.example');
    const transactional = await queue('kt@practice.example', 'transactional');
    const lease = new Date(desk.clock.nowMs() + MINUTE).toISOString();
    const claimed = await inTransaction(desk.db, (tx) => claimDue(tx, desk.clock.now(), lease, 10));
    for (const delivery of claimed) expect(await markSending(desk.db, delivery.id, delivery.attempt, lease)).to.equal(true);
    expect(await sender.sendDue(desk.db), 'the lease still holds').to.include({ sent: 0, unknown: 0 });
    pass(2 * MINUTE);
    expect(await sender.sendDue(desk.db)).to.include({ unknown: 1, requeued: 1, sent: 1 });
    expect(sink.messages.map((message) => message.parsed.messageId)).to.deep.equal([`<${transactional}@plan.example>`]);
    expect((await state(campaign))['state']).to.equal('unknown');
    expect(told.map(({ id, state: ended }) => [id, ended])).to.deep.equal([[campaign, 'unknown']]);
  });

  it('takes up again what a killed sender had only claimed, and lets the first one do nothing any more', async () => {
    const id = await queue('zombie@practice.example');
    const lease = new Date(desk.clock.nowMs() + MINUTE).toISOString();
    const [stale] = await inTransaction(desk.db, (tx) => claimDue(tx, desk.clock.now(), lease, 10));
    pass(2 * MINUTE);
    expect(await sender.sendDue(desk.db)).to.include({ sent: 1 });
    expect(await markSending(desk.db, id, stale?.attempt ?? 0, lease)).to.equal(false);
    expect(await state(id)).to.include({ state: 'sent', attempt: 2 });
  });

  it('never mails an address that was suppressed after its mail was queued', async () => {
    const id = await queue('late@practice.example');
    await inTransaction(desk.db, (tx) => insertSuppression(tx, 'late@practice.example', 'unsubscribe', desk.clock.now(), null));
    expect(await sender.sendDue(desk.db)).to.include({ suppressed: 1, sent: 0 });
    expect((await state(id))['state']).to.equal('suppressed');
    expect(sink.messages).to.have.length(0);
    const captured = await queue('late@practice.example', 'transactional');
    const again = await queue('later@practice.example');
    await inTransaction(desk.db, (tx) => insertSuppression(tx, 'later@practice.example', 'unsubscribe', desk.clock.now(), null));
    expect(await makeSender(null).sendDue(desk.db)).to.include({ suppressed: 1, captured: 1 });
    expect((await state(captured))['state']).to.equal('captured');
    expect(told.map((entry) => [entry.id, entry.state])).to.deep.equal([
      [id, 'suppressed'],
      [again, 'suppressed'],
    ]);
    for (const entry of told) expect(entry.lastError).to.contain('opted out');
  });

  it('keeps mail queued when the server cannot be reached, says so in one line, and sends when it is back', async () => {
    const gone = await makeSmtpSink();
    await gone.close();
    const unreachable = makeSender(gone.url);
    for (let index = 0; index < 80; index += 1) await queue(`wait${index}@practice.example`);
    const before = desk.logged().length;
    const counts = await unreachable.sendDue(desk.db);
    expect(counts).to.include({ sent: 0, unknown: 0, failed: 0, bounced: 0 });
    const lines = desk.logged().slice(before);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.contain('cannot be used').and.to.contain('ECONNREFUSED').and.not.to.contain('@practice.example');
    expect(await states(desk.db)).to.deep.equal({ queued: 80 });
    unreachable.close();
    pass(20 * MINUTE);
    expect((await sender.sendDue(desk.db)).sent).to.equal(80);
  });

  it('opens no socket without SMTP_URL, in a sandbox, or on a database marked as one', async () => {
    const connections = sink.connections();
    await queue('cap1@practice.example');
    expect(await makeSender(null).sendDue(desk.db)).to.include({ captured: 1 });
    await queue('cap2@practice.example');
    expect(await makeSender(sink.url, true).sendDue(desk.db)).to.include({ captured: 1 });
    await desk.db.raw(`insert into credenza.setting (key, value) values ('sandbox', 'true')`);
    await queue('cap3@practice.example');
    const fresh = makeSender(sink.url);
    expect(await fresh.sendDue(desk.db)).to.include({ captured: 1, sent: 0 });
    await desk.db.raw(`delete from credenza.setting where key = 'sandbox'`);
    expect(sink.connections()).to.equal(connections);
    expect(await states(desk.db)).to.deep.equal({ captured: 3 });
  });

  it('comes back only when every connection is done, also when the database fails one of them', async () => {
    let arrive = (): void => undefined;
    let release = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const slowSink = await makeSmtpSink({ hold: () => (arrive(), released) });
    const failing = { ...files, stat: () => arrived.then(() => Promise.reject(new Error('the database went away'))) };
    const broken = makeMailSender({ smtpUrl: slowSink.url, clock: desk.clock, log: desk.log, files: failing });
    const slow = await queue('slow@practice.example');
    await queue('fails@practice.example', 'campaign', { attachments: [{ fileId: randomUUID(), name: 'a.txt' }] });
    let ended = false;
    const outcome = broken.sendDue(desk.db).then(
      () => 'nothing failed',
      (error: unknown) => ((ended = true), String(error)),
    );
    try {
      await arrived;
      expect(await states(desk.db)).to.deep.equal({ queued: 1, sending: 1 });
      expect(ended, 'one mail is still on its way').to.equal(false);
      release();
      expect(await outcome).to.contain('the database went away');
      expect((await state(slow))['state']).to.equal('sent');
    } finally {
      release();
      broken.close();
      await slowSink.close();
    }
  });
});
