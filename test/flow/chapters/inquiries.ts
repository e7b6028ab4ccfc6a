import { expect } from 'chai';
import type { Json } from '../support/staff.ts';
import { addresses, wordsOf } from '../support/world.ts';
import type { SinkMessage } from '../../support/smtp-sink.ts';
import type { Story } from '../story.ts';

const MAILBOX = 'inquiries@plan.example';
const FROM = 'ada@office-a.example';

/** Messages to the plan: one answered within a business day, one late, one replied to and closed at once. */
export function inquiries(story: Story): void {
  const { world } = story;
  const adam = () => world().teams.advocate;
  const show = (name: string) => adam().get('Case', story.id(name));
  const reply = (name: string, values: Json) =>
    adam().create('Message', { case: story.id(name), direction: 'out', channel: 'email', to: FROM, subject: 'Your question', ...values });

  it('R003-01 a message becomes a case with its message before it is accepted', async () => {
    await world().until('2026-09-22T14:30:00Z');
    await world().write({ from: `Ada Alder <${FROM}>`, to: MAILBOX, subject: 'When is the next fee schedule?', text: 'We have not seen it yet.' });
    const found = await adam().one('Case', 'id != null');
    story.keep('case 1', found['id']);
    expect(found).to.include({
      number: 'CASE-000001',
      status: 'open',
      channel: 'email',
      contactEmail: FROM,
      queue: 'advocate',
      receivedAt: '2026-09-22T14:30:00.000Z',
    });
    const message = await adam().one('Message', `case == '${story.id('case 1')}'`);
    expect(message).to.include({ direction: 'in', kind: 'inquiry', from: FROM, subject: 'When is the next fee schedule?' });
    expect(String(message['body'])).to.contain('We have not seen it yet.');
    const stranger = await world()
      .write({ from: FROM, to: 'nobody@plan.example', subject: 'x', text: 'x' })
      .then(
        () => null,
        (error: unknown) => error,
      );
    expect(stranger).to.be.instanceOf(Error).and.have.property('responseCode', 550);
    expect(await adam().find('Case', 'id != null')).to.have.length(1);
  });

  it('R003-03 R003-07 it is acknowledged once, with its case number, the plan and its phone', async () => {
    await world().settle();
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal([`${FROM}: We have your message: CASE-000001`]);
    for (const words of ['CASE-000001', 'Example Health Plan', '+1 413 555 0100', 'looking into it']) expect(wordsOf(mails[0])).to.contain(words);
    expect(mails[0]?.raw).to.match(/Auto-Submitted: auto-replied/);
    expect(await show('case 1')).to.include({
      status: 'open',
      acknowledgedAt: '2026-09-22T14:30:00.000Z',
      countedFrom: '2026-09-22',
      responseDueAt: '2026-09-23T21:00:00.000Z',
      respondedAt: null,
    });
    expect(await adam().one('Message', `case == '${story.id('case 1')}' && direction == 'out'`)).to.include({ kind: 'acknowledgement', counted: false });
  });

  it('R003-15 R003-16 it is answered within a business day; an interim answer says when the matter is settled', async () => {
    await world().until('2026-09-23T15:00:00Z');
    const interim = {
      case: story.id('case 1'),
      direction: 'out',
      kind: 'interim',
      channel: 'email',
      to: FROM,
      subject: 'Your question',
      body: 'We are asking.',
    };
    const refused = await adam().call('POST', '/records/Message', interim);
    expect(refused.status).to.equal(422);
    expect(JSON.stringify(refused.body)).to.contain('An interim answer says when the matter will be resolved.');
    await reply('case 1', { kind: 'substantive', body: 'It is published on October 1.' });
    await world().settle();
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal([`${FROM}: Your question [CASE-000001]`]);
    expect(wordsOf(mails[0])).to.contain('It is published on October 1.');
    story.keep('reply to', replyTo(mails[0]));
    expect(await show('case 1')).to.include({ respondedAt: '2026-09-23T15:00:00.000Z', responseKind: 'substantive', answeredInTime: true, overdueSince: null });
    expect(await adam().move('Case', story.id('case 1'), 'answer')).to.include({ status: 'answered', resolvedAt: '2026-09-23T15:00:00.000Z' });
  });

  it('R003-01 an answer to it finds its case again and opens it', async () => {
    await world().write({ from: FROM, to: story.id('reply to'), subject: 'Re: Your question [CASE-000001]', text: 'And for specialists?' });
    await world().settle();
    expect(await adam().find('Case', 'id != null')).to.have.length(1);
    expect(await show('case 1')).to.include({ status: 'open' });
    expect(await adam().find('Message', `case == '${story.id('case 1')}' && direction == 'in'`)).to.have.length(2);
    expect(world().mails()).to.deep.equal([]);
    await reply('case 1', { kind: 'substantive', body: 'On the same day.' });
    const closed = await adam().move('Case', story.id('case 1'), 'close', { resolution: 'Told the day.' });
    expect(closed).to.include({ status: 'closed' });
    await world().settle();
    expect(addresses(world().mails())).to.deep.equal([`${FROM}: Your question [CASE-000001]`]);
  });

  it('R003-17 R003-18 a call and an acknowledgement are no answer: the inquiry is late and listed', async () => {
    await world().until('2026-09-24T20:59:00Z');
    await world().write({ from: FROM, to: MAILBOX, subject: 'Claim 4711', text: 'It was paid short.' });
    await world().settle();
    const found = await adam().one('Case', "number == 'CASE-000002'");
    story.keep('case 2', found['id']);
    expect(addresses(world().mails())).to.deep.equal([`${FROM}: We have your message: CASE-000002`]);
    await reply('case 2', { kind: 'call', channel: 'phone', to: null, body: 'Told Ada that we look into it.' });
    await world().until('2026-09-25T20:59:00Z');
    expect(await show('case 2')).to.include({ countedFrom: '2026-09-24', responseDueAt: '2026-09-25T21:00:00.000Z', respondedAt: null, overdueSince: null });
    await world().until('2026-09-28T13:00:00Z');
    expect(await show('case 2')).to.include({ overdueSince: '2026-09-25T21:00:00.000Z' });
    expect(await adam().one('Task', `case == '${story.id('case 2')}'`)).to.include({ kind: 'late-answer', queue: 'advocate', status: 'open' });
    expect(await late()).to.deep.equal(['CASE-000002']);
    await reply('case 2', { kind: 'substantive', body: 'The rest is paid this week.' });
    await world().settle();
    expect(await show('case 2')).to.include({ respondedAt: '2026-09-28T13:00:00.000Z', answeredInTime: false });
    expect(await late()).to.deep.equal(['CASE-000002']);
    expect(addresses(world().mails())).to.deep.equal([`${FROM}: Your question [CASE-000002]`]);
  });

  it('R003-15 a message after working hours counts from the next business day', async () => {
    await world().until('2026-10-09T21:30:00Z');
    await world().write({ from: FROM, to: MAILBOX, subject: 'A new colleague', text: 'Whom do we tell?' });
    await world().settle();
    const found = await adam().one('Case', "number == 'CASE-000003'");
    story.keep('case 3', found['id']);
    // Friday evening; Monday is Columbus Day.
    expect(found).to.include({ countedFrom: '2026-10-13', responseDueAt: '2026-10-14T21:00:00.000Z' });
    expect(addresses(world().mails())).to.deep.equal([`${FROM}: We have your message: CASE-000003`]);
  });

  it('R003-02 what can be answered at once is replied to and closed in one action', async () => {
    await world().until('2026-10-13T14:00:00Z');
    const closed = await adam().move('Case', story.id('case 3'), 'reply-and-close', { resolution: 'Use the form for changes in the portal.' });
    expect(closed).to.include({ status: 'closed' });
    await world().settle();
    expect(await show('case 3')).to.include({
      status: 'closed',
      respondedAt: '2026-10-13T14:00:00.000Z',
      answeredInTime: true,
      resolvedAt: '2026-10-13T14:00:00.000Z',
    });
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal([`${FROM}: A new colleague [CASE-000003]`]);
    expect(wordsOf(mails[0])).to.contain('Use the form for changes in the portal.');
    expect(await late()).to.deep.equal(['CASE-000002']);
  });

  function replyTo(mail: SinkMessage | undefined): unknown {
    return mail?.parsed.replyTo?.value[0]?.address;
  }

  async function late(): Promise<readonly unknown[]> {
    const found = await adam().find('Case', 'overdueSince != null || (respondedAt != null && respondedAt > responseDueAt)', ['number']);
    return found.map((entry) => entry['number']);
  }
}
