import { expect } from 'chai';
import { inTransaction } from '../../../src/platform/db.ts';
import type { DeliverySummary } from '../../../src/platform/mail/mail.sql.ts';
import { makeMailQueue } from '../../../src/platform/mail/queue.ts';
import { makeUnsubscribe } from '../../../src/platform/mail/suppression.ts';
import type { QueueMail } from '../../../src/platform/mail/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { CONFIG, makeDesk, refused, type Desk } from './fixtures/desk.ts';

const ABOUT = { object: 'Ticket', id: '01900000-0000-7000-8000-0000000000aa' };

describe('mail queue', () => {
  let desk: Desk;
  let keys = 0;
  const mail = (more: Partial<QueueMail> = {}): QueueMail => ({
    template: 'mail/invite',
    to: 'ann@practice.example',
    class: 'campaign',
    key: `k${(keys += 1)}`,
    data: { record: { name: 'Ann', day: '2026-03-05' } },
    about: null,
    ...more,
  });
  const queue = (more: Partial<QueueMail> = {}) => inTransaction(desk.db, (tx) => desk.queue.queue(tx, desk.context(), mail(more)));
  const row = async (id: string): Promise<Record<string, unknown>> => {
    const [found] = await rows(desk.db, sql`select * from credenza.mail_delivery where id = ${id}::uuid`);
    if (found === undefined) throw new Error(`No delivery ${id}`);
    return found;
  };

  before(async () => {
    desk = await makeDesk();
  });
  after(() => desk.drop());

  it('renders now: subject, HTML in the layout, plain text, stable Message-ID', async () => {
    const { deliveryId, queued } = await queue({ data: { record: { name: '<b>Ann</b> & Co', day: '2026-03-05' } } });
    const found = await row(deliveryId);
    expect(queued).to.equal(true);
    expect(found['subject']).to.equal('Join us, <b>Ann</b> & Co');
    expect(found['html']).to.contain('<h1>Hello &lt;b&gt;Ann&lt;/b&gt; &amp; Co</h1><p>Day: March 5, 2026</p>').and.to.contain('1 Example Street');
    expect(found['plain']).to.contain('<B>ANN</B> & CO').and.to.contain('1 Example Street').and.not.to.contain('&lt;');
    expect(found['message_id']).to.equal(`<${deliveryId}@plan.example>`);
  });

  it('uses the plain twin where there is one', async () => {
    const { deliveryId } = await queue({ template: 'mail/twin' });
    expect((await row(deliveryId))['plain'])
      .to.match(/^PLAIN & Ann\n/)
      .and.to.contain('To get no more mail like this: https://plan.example/portal/unsubscribe/');
  });

  it('queues the same key once, also when six transactions do so at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => queue({ key: 'same' })));
    expect(new Set(answers.map((answer) => answer.deliveryId)).size).to.equal(1);
    expect(answers.filter((answer) => answer.queued)).to.have.length(1);
  });

  it('puts one-click unsubscribe into campaign mail only (RFC 8058)', async () => {
    const campaign = await row((await queue()).deliveryId);
    const headers = campaign['headers'] as Record<string, string>;
    expect(headers['List-Unsubscribe']).to.match(/^<https:\/\/plan\.example\/portal\/unsubscribe\/[\w-]{43}>$/);
    expect(headers['List-Unsubscribe-Post']).to.equal('List-Unsubscribe=One-Click');
    expect(String(campaign['html'])).to.contain((headers['List-Unsubscribe'] ?? '').slice(1, -1));
    const transactional = await row((await queue({ class: 'transactional' })).deliveryId);
    expect(JSON.stringify(transactional['headers'])).not.to.contain('Unsubscribe');
    expect(transactional['html']).not.to.contain('Unsubscribe');
    expect(transactional['unsubscribe_hash']).to.equal(null);
  });

  it('keeps only the hash of the unsubscribe token; the POST suppresses campaigns and not other mail, once', async () => {
    const told: unknown[] = [];
    const unsubscribe = makeUnsubscribe({ clock: desk.clock, onUnsubscribe: (_tx, delivery) => Promise.resolve(void told.push(delivery.about)) });
    const first = await row((await queue({ to: 'Optout@Practice.example', about: ABOUT })).deliveryId);
    const token = /unsubscribe\/([\w-]+)>/.exec((first['headers'] as Record<string, string>)['List-Unsubscribe'] ?? '')?.[1] ?? '';
    expect((first['unsubscribe_hash'] as Buffer).toString('utf8')).not.to.contain(token);
    expect(await unsubscribe.peek(desk.db, token)).to.deep.equal({ recipient: 'Optout@practice.example' });
    expect((await queue({ to: 'optout@practice.example' })).queued).to.equal(true);
    await unsubscribe.unsubscribe(desk.db, token);
    await unsubscribe.unsubscribe(desk.db, token);
    expect(told).to.deep.equal([ABOUT]);
    const later = await queue({ to: 'OPTOUT@practice.example' });
    expect(later.queued).to.equal(false);
    expect((await row(later.deliveryId))['state']).to.equal('suppressed');
    expect((await queue({ to: 'optout@practice.example', class: 'transactional' })).queued).to.equal(true);
    expect((await refused(unsubscribe.unsubscribe(desk.db, 'nonsense'))).code).to.equal('not_found');
  });

  it('refuses whatever could become another recipient or another header', async () => {
    const attacks = [
      '',
      'ann',
      'a@b@c.example',
      'ann@practice.example, eve@evil.example',
      'ann@practice.example\r\nBcc: eve@evil.example',
      '"ann eve"@practice.example',
      '"a@b"@c.example',
      'friends: ann@practice.example, eve@evil.example;',
      'g:'.repeat(1000) + 'a@b.example;',
      '<ann@practice.example>',
      'Ann <ann@practice.example>',
      'ann(eve)@practice.example',
      'ann@[127.0.0.1]',
      '.ann@practice.example',
      'ann@-practice.example',
      'ann@practice.example\0',
    ];
    for (const to of attacks) expect([to, (await refused(queue({ to }))).code]).to.deep.equal([to, 'validation_failed']);
    const split = await refused(queue({ data: { record: { name: 'Ann\r\nBcc: eve@evil.example', day: '2026-03-05' } } }));
    expect(split.code).to.equal('rule_failed');
    expect((await refused(queue({ inReplyTo: '<a@b>\r\nBcc: eve@evil.example' }))).code).to.equal('rule_failed');
  });

  it('records an address that nobody can be written at, when asked to, and tells the record of it', async () => {
    const told: DeliverySummary[] = [];
    const recording = makeMailQueue({
      newId: () => crypto.randomUUID(),
      config: CONFIG,
      onOutcome: (_tx, delivery) => Promise.resolve(void told.push(delivery)),
    });
    const bad = mail({ to: 'ann@praxis-münchen.example\r\nBcc: eve@evil.example', about: ABOUT, badAddress: 'record' });
    const answer = await inTransaction(desk.db, (tx) => recording.queue(tx, desk.context(), bad));
    expect(answer).to.include({ queued: false, failure: 'This is not one plain e-mail address.' });
    const found = await row(answer.deliveryId);
    expect(found).to.include({ state: 'failed', last_error: 'This is not one plain e-mail address.', attempt: 0 });
    expect(found['recipient']).to.equal('ann@praxis-münchen.example Bcc: eve@evil.example');
    expect(told.map(({ id, state, about }) => ({ id, state, about }))).to.deep.equal([{ id: answer.deliveryId, state: 'failed', about: ABOUT }]);
    const again = await inTransaction(desk.db, (tx) => recording.queue(tx, desk.context(), bad));
    expect(again).to.include({ deliveryId: answer.deliveryId, queued: false });
    expect(told).to.have.length(1);
  });

  it('names template and variable when a value is unknown or missing, and queues nothing', async () => {
    const unknown = await refused(queue({ key: 'never', data: { record: { day: '2026-03-05' } } }));
    expect(unknown.code).to.equal('rule_failed');
    expect(unknown.message).to.contain('mail/invite').and.to.contain('record.name');
    const missing = await refused(queue({ key: 'never', data: { record: { name: '', day: '2026-03-05' } } }));
    expect(missing.message).to.contain('record.name').and.to.contain('no value');
    expect((await refused(queue({ key: 'never', template: 'mail/none' }))).message).to.contain('templates/mail/none.hbs');
    expect(await rows(desk.db, sql`select 1 from credenza.mail_delivery where key = 'never'`)).to.have.length(0);
  });

  it('puts the thread token into Reply-To, the same for the thread and its messages', async () => {
    const first = (await row((await queue({ class: 'transactional', about: ABOUT, mailbox: 'help' })).deliveryId))['headers'] as Record<string, string>;
    const second = (await row((await queue({ class: 'transactional', about: ABOUT, mailbox: 'help', inReplyTo: '<m1@practice.example>' })).deliveryId))[
      'headers'
    ] as Record<string, string>;
    expect(first['Reply-To']).to.match(/^help\+t-[0-9a-f]{32}@plan\.example$/);
    expect(second['Reply-To']).to.equal(first['Reply-To']);
    expect([second['In-Reply-To'], second['References']]).to.deep.equal(['<m1@practice.example>', '<m1@practice.example>']);
    const other = (await row((await queue({ class: 'transactional', mailbox: 'help' })).deliveryId))['headers'] as Record<string, string>;
    expect(other['Reply-To']).to.equal('help@plan.example');
    expect((await refused(queue({ mailbox: 'nobody' }))).message).to.contain('"nobody"');
  });
});
