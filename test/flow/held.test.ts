import { expect } from 'chai';
import { isNpi } from '../../src/network/npi/npi.ts';
import { bouncesAt } from '../../src/config.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { deliveriesAbout } from '../../src/platform/mail/mail.sql.ts';
import { makeMailSender } from '../../src/platform/mail/sender.ts';
import { returnPath } from '../../src/platform/mail/address.ts';
import type { WriteItem } from '../../src/platform/record/types.ts';
import { platformTable, rows, run, sql } from '../../src/platform/sql.ts';
import { makeSmtpSink } from '../support/smtp-sink.ts';
import { makeWorld, type World } from './support/world.ts';

const LANES = 5;

describe('Mail of a campaign that is held', function () {
  this.timeout(60_000);
  let world: World;
  let number = 0;
  const npis = Array.from({ length: 5000 }, (_, index) => String(1_003_000_000 + index)).filter(isNpi);

  const write = async (object: string, items: readonly WriteItem[]): Promise<readonly string[]> => {
    const context = await world.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const outcomes = await inTransaction(world.app.db, (tx) => world.app.engine.write(tx, context, object, items, { asSystem: true }));
    return outcomes.map((outcome) => {
      if (!outcome.ok) throw new Error(`${object} was not written: ${outcome.message}`);
      return outcome.id;
    });
  };
  const one = async (object: string, item: WriteItem): Promise<string> => (await write(object, [item]))[0] ?? '';
  const move = (id: string, transition: string, values = {}): Promise<unknown> => one('Campaign', { kind: 'transition', id, transition, values });
  const emails = (name: string, count: number): readonly string[] => Array.from({ length: count }, (_, index) => `${name}${String(index)}@practice.example`);

  /** A campaign that has begun and whose mails the server was asked to bring again later. */
  async function waiting(name: string, count: number, startsOn: string): Promise<{ readonly campaign: string; readonly members: readonly string[] }> {
    const campaign = await one('Campaign', { kind: 'create', values: { name, channel: 'email', audience: 'list', invitation: 'Join us.' } });
    const to = emails(name, count);
    const leads = await write(
      'Lead',
      to.map((email) => ({
        kind: 'create',
        values: { npi: npis[(number += 1)], entityType: 'individual', firstName: 'Ada', lastName: 'Alder', name: email, email },
      })),
    );
    const members = await write(
      'CampaignMember',
      to.map((email, index) => ({ kind: 'create', values: { campaign, lead: leads[index], email } })),
    );
    for (const email of to) world.mailRules.set(email, 450);
    await move(campaign, 'start', { startsOn });
    return { campaign, members };
  }
  const arrived = (name: string): number => world.sink.messages.filter(({ to }) => new RegExp(`^${name}\\d+@`).test(to[0] ?? '')).length;
  const holdsOf = async (campaign: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
    ((await world.teams.administrator.call('GET', '/mail/holds')).body['data'] as readonly Readonly<Record<string, unknown>>[]).filter(
      ({ id }) => id === campaign,
    );
  const due = (campaign: string): Promise<number> =>
    run(
      world.app.db,
      sql`update ${platformTable(world.app.db, 'mail_delivery')} set next_attempt_at = ${world.app.clock.now()}::timestamptz where group_id = ${campaign}::uuid and state = 'queued'`,
    );
  const statesOf = async (campaign: string): Promise<unknown> => {
    const found = await rows(
      world.app.db,
      sql`select state, count(*)::int as n from ${platformTable(world.app.db, 'mail_delivery')} where group_id = ${campaign}::uuid group by state`,
    );
    return Object.fromEntries(found.map((row) => [String(row['state']), row['n']]));
  };

  before(async () => {
    world = await makeWorld('2026-03-02T12:00:00.000Z');
  });
  after(() => world.close());

  it('waits while the campaign is paused, is listed, and goes when it is resumed', async () => {
    const { campaign } = await waiting('paused', 12, '2026-03-02');
    await world.until('2026-03-02T13:00:00Z');
    world.mailRules.clear();
    await move(campaign, 'pause');
    await world.until('2026-03-04T13:00:00Z');
    expect(arrived('paused')).to.equal(0);
    expect(await holdsOf(campaign)).to.have.length(1);
    expect((await holdsOf(campaign))[0]).to.include({ object: 'Campaign', kind: 'state', waiting: 12, by: 'system:mail' });
    await move(campaign, 'resume');
    await world.settle();
    expect(arrived('paused')).to.equal(12);
    expect(await holdsOf(campaign)).to.deep.equal([]);
    await world.settle();
    expect(await statesOf(campaign)).to.deep.equal({ sent: 12 });
  });

  it('stops between two mails: after the pause nothing leaves but what is in flight', async () => {
    const { campaign } = await waiting('midst', 20, '2026-03-04');
    await world.until('2026-03-04T14:00:00Z');
    world.mailRules.clear();
    await due(campaign);
    let let_go = (): void => undefined;
    let come = (): void => undefined;
    const released = new Promise<void>((resolve) => (let_go = resolve));
    const first = new Promise<void>((resolve) => (come = resolve));
    const slow = await makeSmtpSink({ hold: () => (come(), released) });
    const { app } = world;
    const sender = makeMailSender({ smtpUrl: slow.url, clock: app.clock, log: app.log, files: app.files, currentModel: () => app.store.current() });
    try {
      const sending = sender.sendDue(app.db);
      await first;
      await move(campaign, 'pause');
      let_go();
      const counts = await sending;
      expect(counts.sent).to.be.at.least(1).and.at.most(LANES);
      expect(slow.messages).to.have.length(counts.sent);
      expect(await statesOf(campaign)).to.deep.equal({ sent: counts.sent, queued: 20 - counts.sent });
      await world.until('2026-03-04T15:00:00Z');
      expect(await statesOf(campaign)).to.deep.equal({ sent: counts.sent, queued: 20 - counts.sent });
    } finally {
      let_go();
      sender.close();
      await slow.close();
    }
  });

  it('does not go at all when the campaign was closed meanwhile, and its members say so', async () => {
    const { campaign, members } = await waiting('closed', 3, '2026-03-04');
    await world.until('2026-03-04T16:00:00Z');
    world.mailRules.clear();
    await move(campaign, 'pause');
    await world.until('2026-03-04T17:00:00Z');
    await move(campaign, 'close');
    await world.settle();
    expect(arrived('closed')).to.equal(0);
    expect(await statesOf(campaign)).to.deep.equal({ failed: 3 });
    const member = await world.teams.recruiting.get('CampaignMember', members[0] ?? '');
    expect(member).to.include({ status: 'not-sent', mailState: 'failed', mailReason: 'What it belongs to ended before it was sent.' });
  });

  it('is held at the threshold of complaints (RFC 5965), and let go by an administrator only', async () => {
    const { campaign, members } = await waiting('health', 104, '2026-03-05');
    world.mailRules.clear();
    for (const email of emails('health', 3)) world.mailRules.set(email, 450);
    await world.until('2026-03-05T14:00:00Z');
    expect(await statesOf(campaign)).to.deep.equal({ sent: 101, queued: 3 });
    world.mailRules.clear();

    const [delivery] = await deliveriesAbout(world.app.db, members[50] ?? '');
    const complain = async (quoted: readonly string[], type = 'abuse'): Promise<unknown> =>
      world.app.inbound.receive(Buffer.from(complaint(type, quoted).join('\r\n')), { from: 'fbl@mailbox.example', to: world.app.bounceAddress });
    const path = `Original-Mail-From: <${returnPath(bouncesAt('plan.example'), delivery?.id ?? '')}>`;
    await complain([path], 'not-spam');
    expect(await holdsOf(campaign), 'a mail that was wanted').to.deep.equal([]);
    await complain([path]);
    await complain([path]);
    const suppressed = await rows(
      world.app.db,
      sql`select address, reason from ${platformTable(world.app.db, 'mail_suppression')} where address like 'health%'`,
    );
    expect(suppressed).to.deep.equal([{ address: 'health50@practice.example', reason: 'complaint' }]);
    expect(await world.teams.recruiting.get('CampaignMember', members[50] ?? '')).to.include({ status: 'unsubscribed' });
    expect(await holdsOf(campaign)).to.have.length(1);
    expect((await holdsOf(campaign))[0]).to.include({ kind: 'health', reason: 'Of 101 mails 0 came back and 1 were complained about.' });

    await world.until('2026-03-05T16:00:00Z');
    expect(await statesOf(campaign)).to.deep.equal({ sent: 101, queued: 3 });
    const release = { object: 'Campaign', id: campaign };
    expect((await world.teams.recruiting.call('POST', '/mail/holds/release', release)).status).to.equal(403);
    expect((await world.teams.administrator.call('POST', '/mail/holds/release', release)).status).to.equal(204);
    expect((await world.teams.administrator.call('POST', '/mail/holds/release', release)).status).to.equal(404);
    await world.settle();
    expect(await statesOf(campaign)).to.deep.equal({ sent: 104 });

    const listed = await world.teams.recruiting.call('GET', `/records/Campaign/${campaign}/deliveries`);
    expect(listed.body).to.deep.include({ counts: { sent: 104 }, complaints: 1, next: null });
    const mails = listed.body['data'] as readonly Readonly<Record<string, unknown>>[];
    expect(mails).to.have.length(104);
    expect(mails[0])
      .to.include({ state: 'sent', class: 'campaign', subject: null })
      .and.to.have.property('recipient')
      .that.matches(/^health\d+@/);
    const own = await world.teams.recruiting.call('GET', `/records/CampaignMember/${members[50] ?? ''}/deliveries?state=sent`);
    expect((own.body['data'] as readonly unknown[]).length).to.equal(1);
    expect((await world.teams.recruiting.call('GET', `/records/Campaign/${campaign}/deliveries?state=lost`)).status).to.equal(400);
    expect((await world.teams.contracting.call('GET', `/records/Campaign/${campaign}/deliveries`)).status).to.equal(404);
  });

  it('waits when a person says so', async () => {
    const { campaign } = await waiting('person', 2, '2026-03-05');
    const hold = { object: 'Campaign', id: campaign, reason: 'The letter names the wrong day.' };
    expect((await world.teams.recruiting.call('POST', '/mail/holds', hold)).status).to.equal(403);
    expect((await world.teams.administrator.call('POST', '/mail/holds', { ...hold, id: '0190b6f0-0000-7000-8000-000000000001' })).status).to.equal(404);
    expect((await world.teams.administrator.call('POST', '/mail/holds', hold)).status).to.equal(204);
    world.mailRules.clear();
    await world.until('2026-03-05T18:00:00Z');
    expect(await statesOf(campaign)).to.deep.equal({ queued: 2 });
    expect((await holdsOf(campaign))[0]).to.include({ kind: 'person', reason: hold.reason });
    expect((await world.teams.administrator.call('POST', '/mail/holds/release', hold)).status, 'a reason has no place there').to.equal(400);
    expect((await world.teams.administrator.call('POST', '/mail/holds/release', { object: 'Campaign', id: campaign })).status).to.equal(204);
    await world.settle();
    expect(await statesOf(campaign)).to.deep.equal({ sent: 2 });
  });
});

/** A report of a mailbox provider about a complaint, as RFC 5965 shows it. */
function complaint(type: string, quoted: readonly string[]): readonly string[] {
  return [
    'From: Feedback <fbl@mailbox.example>',
    'To: bounces@plan.example',
    'Subject: FW: Join us',
    `Message-ID: <${type}-${String(Math.round(quoted.join('').length))}@mailbox.example>`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=feedback-report; boundary="r"',
    '',
    '--r',
    'Content-Type: text/plain',
    '',
    'This is an email abuse report.',
    '--r',
    'Content-Type: message/feedback-report',
    '',
    `Feedback-Type: ${type}`,
    'User-Agent: SomeGenerator/1.0',
    'Version: 1',
    ...quoted,
    '',
    '--r',
    'Content-Type: text/rfc822-headers',
    '',
    'Subject: Join us',
    '',
    '--r--',
    '',
  ];
}
