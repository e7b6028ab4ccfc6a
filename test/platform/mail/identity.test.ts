import { expect } from 'chai';
import type { InboundMail } from '../../../src/platform/mail/inbound.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { inboundOf, makeDesk, type Desk } from './fixtures/desk.ts';

const HELP = 'help@plan.example';
const MONDAY = 'Mon, 02 Mar 2026 09:00:00 -0500';

describe('which messages are the same', () => {
  let desk: Desk;
  let inbound: InboundMail;
  before(async () => {
    desk = await makeDesk();
    inbound = inboundOf(desk);
  });
  after(async () => {
    await inbound.close();
    await desk.drop();
  });
  beforeEach(async () => {
    for (const object of ['Note', 'Ticket']) await desk.db.raw(`truncate credenza."${desk.model.objects.get(object)?.table ?? ''}" cascade`);
    await desk.db.raw('truncate credenza.mail_delivery, credenza.inbound_mail, credenza.mail_thread');
  });

  interface Mail {
    readonly id?: string | null;
    readonly date?: string | null;
    readonly text?: string;
    readonly to?: string;
    readonly trace?: string;
    readonly more?: string;
  }
  /** Files a message; answers whether it was new. */
  async function receive({ id = '<one@practice.example>', date = MONDAY, text = 'Where is it?', to = HELP, trace = '', more = '' }: Mail): Promise<boolean> {
    const head = [`${trace}From: Ann Lee <ann@practice.example>`, `To: ${HELP}`, 'Subject: Contract'];
    if (date !== null) head.push(`Date: ${date}`);
    if (id !== null) head.push(`Message-ID: ${id}`);
    const raw = `${head.join('\r\n')}\r\n${more}\r\n${text}\r\n`;
    return (await inbound.receive(Buffer.from(raw), { from: 'ann@practice.example', to })) !== null;
  }
  const bodies = async (): Promise<unknown[]> =>
    (await makeReader().list(desk.db, desk.context(), { object: 'Note', sort: ['createdAt', 'id'] })).data.map((note) => note['body']);
  const tickets = async (): Promise<number> => (await makeReader().list(desk.db, desk.context(), { object: 'Ticket' })).data.length;
  const RELAYED = 'Received: from mx2.practice.example by mx.plan.example; Mon, 02 Mar 2026 10:00:00 -0500\r\nDKIM-Signature: v=1; a=x\r\n';

  it('R003-01 a Message-ID that its sender used for other words before is another message, and is filed', async () => {
    expect(await receive({})).to.equal(true);
    expect(await receive({ text: 'And where is the other one?' })).to.equal(true);
    expect(await bodies()).to.deep.equal(['Where is it?', 'And where is the other one?']);
    expect(await receive({ text: 'And where is the other one?' }), 'each is known again').to.equal(false);
    expect(await receive({}), 'each is known again').to.equal(false);
  });

  it('a message that comes a second time by another way is known again, whatever the relays wrote above it', async () => {
    expect(await receive({})).to.equal(true);
    expect(await receive({ trace: RELAYED })).to.equal(false);
    expect(await receive({ trace: RELAYED, id: '<two@practice.example>' })).to.equal(true);
  });

  it('R003-01 without a Message-ID the day it was written tells two messages of the same words apart', async () => {
    expect(await receive({ id: null })).to.equal(true);
    expect(await receive({ id: null, trace: RELAYED }), 'the same by another way').to.equal(false);
    expect(await receive({ id: null, date: 'Tue, 03 Mar 2026 09:00:00 -0500' }), 'the next day').to.equal(true);
    expect(await receive({ id: null, text: 'Where is what?' }), 'other words').to.equal(true);
    expect(await receive({ id: null, date: null }), 'no day at all').to.equal(true);
    expect(await receive({ id: null, date: null })).to.equal(false);
    expect(await bodies()).to.have.length(4);
  });

  it('a message to two threads is filed in each, one to a thread and to the mailbox itself once', async () => {
    await receive({ id: '<a@practice.example>' });
    await receive({ id: '<b@practice.example>', text: 'Another matter' });
    const tokens = (await rows(desk.db, sql`select token from credenza.mail_thread order by token`)).map((row) => String(row['token']));
    expect(tokens).to.have.length(2);
    const [first, second] = tokens.map((token) => `help+t-${token}@plan.example`);
    const both = { id: '<c@practice.example>', text: 'Both are done.' };
    expect(await receive({ ...both, to: first ?? '' })).to.equal(true);
    expect(await receive({ ...both, to: second ?? '' })).to.equal(true);
    expect(await receive({ ...both, to: HELP }), 'it is filed already').to.equal(false);
    expect(await receive({ ...both, to: first ?? '' })).to.equal(false);
    expect((await bodies()).filter((body) => body === 'Both are done.')).to.have.length(2);
    const reply = { id: '<d@practice.example>', text: 'Thanks.', more: 'In-Reply-To: <a@practice.example>\r\n' };
    expect(await receive({ ...reply, to: HELP })).to.equal(true);
    const [own] = await rows(
      desk.db,
      sql`select t.token from credenza.mail_thread t join credenza.inbound_mail i on i.thread_id = t.record_id where i.message_id = '<a@practice.example>'`,
    );
    expect(await receive({ ...reply, to: `help+t-${String(own?.['token'])}@plan.example` }), 'the same thread').to.equal(false);
    expect(await tickets()).to.equal(2);
  });

  it('files it once in each thread, also when it comes there many times at the same moment', async () => {
    await receive({ id: '<a@practice.example>' });
    const [row] = await rows(desk.db, sql`select token from credenza.mail_thread`);
    const thread = `help+t-${String(row?.['token'])}@plan.example`;
    const same = { id: '<e@practice.example>', text: 'Once.', more: 'In-Reply-To: <a@practice.example>\r\n' };
    const answers = await Promise.all([HELP, thread, HELP, thread, thread].map((to) => receive({ ...same, to })));
    expect(answers.filter((isNew) => isNew)).to.have.length(1);
    expect(await bodies()).to.deep.equal(['Where is it?', 'Once.']);
  });

  it('a message that was filed before its words were kept with it is known by its Message-ID', async () => {
    await receive({ id: '<old@practice.example>' });
    await run(desk.db, sql`update credenza.inbound_mail set content_hash = ''`);
    expect(await receive({ id: '<old@practice.example>' })).to.equal(false);
    expect(await receive({ id: '<old@practice.example>', text: 'Something else' })).to.equal(true);
  });
});
