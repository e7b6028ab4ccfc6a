import { expect } from 'chai';
import { dayInZone } from '../../../src/platform/expression/zones.ts';
import type { InboundMail } from '../../../src/platform/mail/inbound.ts';
import { makeMailRetention } from '../../../src/platform/mail/retention.ts';
import type { PolicyFile } from '../../../src/platform/metadata/types.ts';
import { policyLookup } from '../../../src/platform/policies/policies.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { inboundOf, makeDesk, type Desk } from './fixtures/desk.ts';

const limits: PolicyFile = {
  name: 'limits',
  keys: { mailbox: 'text' },
  match: 'first',
  results: { keep: 'number', answers: 'number' },
  versions: [{ effective: '2026-01-01', approvedBy: 'Help desk', rows: [{ band: 'all', when: 'true', then: { keep: 30, answers: 3 } }] }],
};
const asked = (result: string): string => `policy('limits', {mailbox: 'help'}, today()).${result}`;

describe('mailboxes with limits by policy', () => {
  let desk: Desk;
  let inbound: InboundMail;

  const receive = (id: string, from = 'ann@practice.example', to = 'help@plan.example') =>
    inbound.receive(Buffer.from(`From: ${from}\r\nSubject: Contract\r\nMessage-ID: <${id}@practice.example>\r\n\r\nWhere is ${id}?`), { from, to });
  const kept = () => rows(desk.db, sql`select message_id, raw is not null as kept from credenza.inbound_mail order by received_at, message_id`);
  const mails = () => rows(desk.db, sql`select recipient from credenza.mail_delivery order by created_at, id`);
  const list = async (object: string) => (await makeReader().list(desk.db, desk.context(), { object, sort: ['createdAt', 'id'], limit: 100 })).data;

  before(async () => {
    desk = await makeDesk({ policies: [limits], atMost: asked('answers'), retention: { days: asked('keep') } });
    inbound = inboundOf(desk, { bounceAddress: 'bounces@plan.example' });
  });
  after(async () => {
    await inbound.close();
    await desk.drop();
  });

  it('acknowledges one sender at most so often on a day, however the address is written, and files everything', async () => {
    for (const [index, from] of ['Robot@odd.example', 'robot@odd.example', 'ROBOT@odd.example', 'robot@odd.example', 'robot@odd.example'].entries())
      await receive(`robot${String(index)}`, from);
    await receive('other', 'other@practice.example');
    expect((await mails()).map((mail) => mail['recipient'])).to.deep.equal([
      'robot@odd.example',
      'robot@odd.example',
      'robot@odd.example',
      'other@practice.example',
    ]);
    expect(await list('Ticket')).to.have.length(6);
    desk.clock.advanceTo('2026-03-03T15:00:00.000Z');
    await receive('robot-next-day', 'robot@odd.example');
    expect(await mails()).to.have.length(5);
  });

  it('counts what was filed at the same time, and nothing that was not filed', async () => {
    const before = (await mails()).length;
    await Promise.all(Array.from({ length: 8 }, (_, index) => receive(`same${String(index)}`, 'storm@odd.example')));
    expect((await mails()).length - before).to.equal(3);
    await run(desk.db, sql`update credenza.mail_acknowledged set mails = 0 where sender = 'storm@odd.example'`);
    await receive('same0', 'storm@odd.example');
    expect(await rows(desk.db, sql`select mails from credenza.mail_acknowledged where sender = 'storm@odd.example'`), 'known already').to.deep.equal([
      { mails: 0 },
    ]);
  });

  it('R003-09 a message is kept as it came on day 30 and purged on day 31; its records stay, and it is still known', async () => {
    const retention = makeMailRetention({
      clock: desk.clock,
      log: desk.log,
      policies: policyLookup,
      context: () => Promise.resolve({ ...desk.context(), today: planDay() }),
    });
    const planDay = (): string => dayInZone(desk.clock.now(), desk.model.calendarLookup.planZone) ?? '';
    const sweep = async (): Promise<number> => {
      let sum = 0;
      for (let done = await retention.run(desk.db); done > 0; done = await retention.run(desk.db)) sum += done;
      return sum;
    };
    await desk.db.raw('truncate credenza.inbound_mail');
    expect(desk.model.calendarLookup.planZone).to.equal('America/New_York');
    desk.clock.advanceTo('2026-03-04T05:10:00.000Z');
    await receive('early');
    await receive('report', 'mailer-daemon@practice.example', 'bounces@plan.example');
    desk.clock.advanceTo('2026-03-05T04:50:00.000Z');
    await receive('late');
    await receive('legacy');
    await run(desk.db, sql`update credenza.inbound_mail set content_hash = '' where message_id = '<legacy@practice.example>'`);
    const recordsOf = async () => ({ tickets: await list('Ticket'), notes: await list('Note') });
    const before = await recordsOf();

    desk.clock.advanceTo('2026-04-04T03:59:00.000Z');
    expect(await sweep(), 'day 30').to.equal(0);
    expect((await kept()).map((row) => row['kept'])).to.deep.equal([true, true, true, true]);

    desk.clock.advanceTo('2026-04-04T05:00:00.000Z');
    expect(await sweep(), 'day 31').to.equal(4);
    expect((await kept()).map((row) => row['kept'])).to.deep.equal([false, false, false, false]);
    expect(await recordsOf()).to.deep.equal(before);

    for (const id of ['early', 'late', 'legacy']) expect(await receive(id), id).to.equal(null);
    expect(await receive('report', 'mailer-daemon@practice.example', 'bounces@plan.example')).to.equal(null);
    expect(await recordsOf()).to.deep.equal(before);
    expect(await rows(desk.db, sql`select count(*)::int as n from credenza.mail_acknowledged`), 'old counts are forgotten').to.deep.equal([{ n: 0 }]);
  });
});
