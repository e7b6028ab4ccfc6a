import { expect } from 'chai';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { besideModule } from '../../../src/platform/child.ts';
import type { MailAccount } from '../../../src/platform/mail/accounts.ts';
import { makeMailFetcher, type MailFetcher } from '../../../src/platform/mail/fetch.ts';
import type { InboundMail } from '../../../src/platform/mail/inbound.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { RecordEngine } from '../../../src/platform/record/types.ts';
import { rows, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { startDovecot, withoutDovecot, type Dovecot } from '../../support/dovecot.ts';
import { inboundOf, makeDesk, type Desk } from './fixtures/desk.ts';
import type { FetchOrder } from './fixtures/fetch-child.ts';

const MAILS = Number(process.env['IMAP_MAILS'] ?? '150');
const POINTS = ['mail.inbound_before_commit:3', 'mail.inbound_after_commit:3', 'mail.fetched_before_put_away:1'];

function letter(subject: string, more: { readonly id?: string; readonly headers?: string; readonly to?: string; readonly text?: string } = {}): string {
  const id = more.id ?? `<${subject.replaceAll(' ', '-')}@practice.example>`;
  return `${more.headers ?? ''}From: Ann <ann@practice.example>\r\nTo: ${more.to ?? 'help@plan.example'}\r\nSubject: ${subject}\r\nMessage-ID: ${id}\r\n\r\n${more.text ?? `About ${subject}.`}`;
}

describe('mail fetched by IMAP', function () {
  let desk: Desk;
  let server: Dovecot;
  let inbound: InboundMail;
  let users = 0;
  let broken: (subject: unknown) => boolean = () => false;
  let onWrite: () => Promise<void> = () => Promise.resolve();

  const newUser = (): string => `user${String((users += 1))}`;
  const fetcherOf = (account: MailAccount): MailFetcher => makeMailFetcher({ db: desk.db, clock: desk.clock, log: desk.log, accounts: [account], inbound });
  const later = (minutes: number): void => desk.clock.advanceTo(new Date(desk.clock.nowMs() + minutes * 60_000).toISOString());
  const list = async (object: string) => (await makeReader().list(desk.db, desk.context(), { object, sort: ['createdAt', 'id'], limit: 500 })).data;
  const subjects = async (): Promise<readonly unknown[]> => (await list('Ticket')).map((ticket) => ticket['subject']);
  const unfiled = () => rows(desk.db, sql`select uid::int, reason, attempts from credenza.mail_unfiled order by uid`);
  const state = async () => (await rows(desk.db, sql`select uid::int, failures, failure, holder, due_at from credenza.mail_fetch where account = 'help'`))[0];

  before(async function () {
    const without = withoutDovecot();
    if (without !== null) {
      process.stdout.write(`      Without a real IMAP server this is not tested: ${without}.\n`);
      this.skip();
    }
    desk = await makeDesk();
    server = await startDovecot();
    const engine = makeRecordEngine();
    const watched: RecordEngine = {
      ...engine,
      write: async (tx, context, object, items, options) => {
        if (object === 'Note' && items.some((item) => item.kind === 'create' && broken(item.values['subject']))) throw new Error('disk full');
        if (object === 'Note') await onWrite();
        return engine.write(tx, context, object, items, options);
      },
    };
    inbound = inboundOf(desk, { engine: watched, maxBytes: 2_000_000, bounceAddress: 'bounces@plan.example' });
  });
  after(async () => {
    if (withoutDovecot() !== null) return;
    await inbound.close();
    await server.stop();
    await desk.drop();
  });
  beforeEach(async () => {
    broken = () => false;
    onWrite = () => Promise.resolve();
    for (const object of ['Note', 'Ticket']) await desk.db.raw(`truncate credenza."${desk.model.objects.get(object)?.table ?? ''}" cascade`);
    await desk.db.raw('truncate credenza.mail_delivery, credenza.inbound_mail, credenza.mail_thread, credenza.mail_fetch, credenza.mail_unfiled');
  });

  it('R003-11 each message becomes a record with the time at which the server got it, is acknowledged, and is put away', async () => {
    const user = newUser();
    server.deliver(user, letter('first'), '2026-03-02T09:30:00.000Z');
    server.deliver(user, letter('second'), '2027-01-01T00:00:00.000Z');
    expect(await fetcherOf(server.account(user)).fetchDue()).to.equal(2);
    expect((await list('Ticket')).map((ticket) => [ticket['subject'], ticket['receivedAt']])).to.deep.equal([
      ['first', '2026-03-02T09:30:00.000Z'],
      ['second', desk.clock.now()],
    ]);
    expect(await rows(desk.db, sql`select recipient from credenza.mail_delivery`)).to.have.length(2);
    expect(await server.look(user, 'INBOX')).to.deep.equal([]);
    expect((await server.look(user, 'Filed')).map(({ subject, flags }) => [subject, flags.includes('\\Seen')])).to.deep.equal([
      ['first', true],
      ['second', true],
    ]);
    expect(await state()).to.include({ uid: 2, failures: 0, failure: null, holder: null });
  });

  it(`files ${String(MAILS)} messages once while two processes fetch the same account`, async function () {
    this.timeout(120_000);
    const user = newUser();
    for (let index = 0; index < MAILS; index += 1) server.deliver(user, letter(`mail ${String(index)}`));
    const [one, other] = [fetcherOf(server.account(user)), fetcherOf(server.account(user))];
    let done = 0;
    for (let step = -1; step !== 0; done += step) step = (await Promise.all([one.fetchDue(), other.fetchDue()])).reduce((sum, count) => sum + count, 0);
    const counts = await rows(
      desk.db,
      sql`select count(*)::int as n, count(distinct message_id)::int as d, count(distinct thread_id)::int as threads from credenza.inbound_mail`,
    );
    expect([done, counts[0]]).to.deep.equal([MAILS, { n: MAILS, d: MAILS, threads: MAILS }]);
    expect(await server.look(user, 'INBOX')).to.deep.equal([]);
    expect(await server.look(user, 'Filed')).to.have.length(MAILS);
  });

  for (const plan of POINTS) {
    it(`killed at ${plan} files each message once, and puts away what was left`, async () => {
      const user = newUser();
      for (let index = 0; index < 6; index += 1) server.deliver(user, letter(`letter ${String(index)}`));
      const account = server.account(user);
      const child = fork(fileURLToPath(besideModule(import.meta.url, 'fixtures/fetch-child')), {
        stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
        serialization: 'advanced',
      });
      const order: FetchOrder = { url: desk.url, schema: schemaOf(desk.db), source: desk.source, account, plan, now: desk.clock.now() };
      child.send(order);
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      expect(signal).to.equal('SIGKILL');
      expect((await server.look(user, 'INBOX')).length, 'nothing was put away').to.equal(6);

      const fetcher = fetcherOf(account);
      expect(await fetcher.fetchDue(), 'the dead process still has it').to.equal(0);
      later(4);
      await fetcher.fetchDue();
      expect(await subjects()).to.have.members(Array.from({ length: 6 }, (_, index) => `letter ${String(index)}`));
      expect(await list('Note')).to.have.length(6);
      expect(await rows(desk.db, sql`select 1 from credenza.mail_delivery`)).to.have.length(6);
      expect(await server.look(user, 'INBOX')).to.deep.equal([]);
      expect(await server.look(user, 'Filed')).to.have.length(6);
    });
  }

  it('looks at all messages again when the server numbers them anew, and files none of them twice', async () => {
    const user = newUser();
    const account = server.account(user, { filedFolder: null });
    for (const subject of ['one', 'two', 'three']) server.deliver(user, letter(subject));
    await fetcherOf(account).fetchDue();
    expect((await server.look(user, 'INBOX')).map(({ flags }) => flags.includes('\\Seen'))).to.deep.equal([true, true, true]);
    server.renumber(user);
    server.deliver(user, letter('four'));
    later(2);
    expect(await fetcherOf(account).fetchDue()).to.equal(4);
    expect(await subjects()).to.deep.equal(['one', 'two', 'three', 'four']);
    expect(desk.logged().join('')).to.contain('UIDVALIDITY');
    later(2);
    expect(await fetcherOf(account).fetchDue()).to.equal(0);
  });

  it('lists a message that cannot be filed, flags it, files the others, and files it later when it can be', async () => {
    const user = newUser();
    broken = (subject) => subject === 'bad';
    for (const subject of ['good', 'bad', 'fine']) server.deliver(user, letter(subject));
    server.deliver(user, letter('large', { text: `${'x'.repeat(900)}\r\n`.repeat(2_500) }));
    server.deliver(user, letter('last'));
    const fetcher = fetcherOf(server.account(user));
    await fetcher.fetchDue();
    expect(await subjects()).to.deep.equal(['good', 'fine', 'last']);
    expect(await unfiled()).to.deep.equal([
      { uid: 2, reason: 'Error: disk full', attempts: 1 },
      { uid: 4, reason: 'It has more than 2000000 bytes.', attempts: 1 },
    ]);
    expect((await server.look(user, 'INBOX')).map(({ subject, flags }) => [subject, flags.includes('\\Flagged'), flags.includes('\\Seen')])).to.deep.equal([
      ['bad', true, false],
      ['large', true, false],
    ]);
    later(2);
    expect(await fetcher.fetchDue(), 'not yet').to.equal(0);
    broken = () => false;
    later(4);
    expect(await fetcher.fetchDue()).to.equal(2);
    expect(await subjects()).to.deep.equal(['good', 'fine', 'last', 'bad']);
    expect(await unfiled()).to.deep.equal([{ uid: 4, reason: 'It has more than 2000000 bytes.', attempts: 2 }]);
    for (let round = 0; round < 6; round += 1) {
      later(1_000);
      await fetcher.fetchDue();
    }
    expect(await unfiled(), 'left to people after the fifth time').to.deep.equal([{ uid: 4, reason: 'It has more than 2000000 bytes.', attempts: 5 }]);
    expect((await server.look(user, 'INBOX')).map(({ subject }) => subject)).to.deep.equal(['large']);
  });

  it('goes on after a message on which the reading process dies', async function () {
    this.timeout(60_000);
    const user = newUser();
    const greedy = inboundOf(desk, { maxBytes: 25_000_000 });
    server.deliver(user, letter('endless', { headers: 'A: b\r\n'.repeat(3_000_000) }));
    server.deliver(user, letter('after it'));
    try {
      await makeMailFetcher({ db: desk.db, clock: desk.clock, log: desk.log, accounts: [server.account(user)], inbound: greedy }).fetchDue();
      expect(await subjects()).to.deep.equal(['after it']);
      expect(await unfiled()).to.deep.equal([{ uid: 1, reason: 'It could not be read.', attempts: 1 }]);
    } finally {
      await greedy.close();
    }
  });

  it('writes nothing for an account that another process has taken over meanwhile', async () => {
    const user = newUser();
    for (const subject of ['mine', 'theirs', 'unseen']) server.deliver(user, letter(subject));
    let writes = 0;
    onWrite = async () => {
      writes += 1;
      if (writes === 2) await run(desk.db, sql`update credenza.mail_fetch set holder = 'another' where account = 'help'`);
    };
    await fetcherOf(server.account(user)).fetchDue();
    expect([await subjects(), writes]).to.deep.equal([['mine'], 2]);
    expect(await state()).to.include({ uid: 1, holder: 'another' });
    expect(await server.look(user, 'INBOX')).to.have.length(3);
  });

  it('leaves a server that does not answer alone for longer each time, and says why', async () => {
    const user = newUser();
    const away = await startDovecot();
    await away.stop();
    const account = server.account(user, { port: away.port });
    const fetcher = fetcherOf(account);
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) {
      await fetcher.fetchDue();
      const now = await state();
      expect(now).to.include({ failures: attempt + 1, holder: null });
      expect(String(now?.['failure'])).to.contain('ECONNREFUSED');
      pauses.push((new Date(String(now?.['due_at'])).getTime() - desk.clock.nowMs()) / 1000);
      desk.clock.advanceTo(new Date(String(now?.['due_at'])).toISOString());
    }
    expect(pauses).to.deep.equal([60, 60, 120, 240, 480, 900, 900]);
    const back = await startDovecot({ port: away.port });
    try {
      back.deliver(user, letter('at last'));
      await fetcher.fetchDue();
      expect(await subjects()).to.deep.equal(['at last']);
      expect(await state()).to.include({ failures: 0 });
    } finally {
      await back.stop();
    }
  });

  it('says that an account was refused, and nothing of its password', async () => {
    await fetcherOf(server.account(newUser(), { access: { password: 'wrong-word' } })).fetchDue();
    expect(await state()).to.include({ failure: 'refused: The server refused the account.', failures: 1 });
    expect(desk.logged().join('')).not.to.contain('wrong-word');
  });

  it('finds the thread by the address that a server noted or the message was written to; a copy for each of several threads', async () => {
    const user = newUser();
    server.deliver(user, letter('a'));
    server.deliver(user, letter('b'));
    const fetcher = fetcherOf(server.account(user));
    await fetcher.fetchDue();
    const tokens = (
      await rows(desk.db, sql`select t.token from credenza.mail_thread t join credenza.inbound_mail i on i.thread_id = t.record_id order by i.message_id`)
    ).map((row) => String(row['token']));
    const to = tokens.map((token) => `help+t-${token}@plan.example`);
    server.deliver(user, letter('c', { headers: `Delivered-To: ${to[1] ?? ''}\r\n`, to: 'help@plan.example' }));
    server.deliver(user, letter('d', { to: `Help <${(to[0] ?? '').toUpperCase()}>` }));
    server.deliver(user, letter('e', { to: to.join(', ') }));
    later(2);
    await fetcher.fetchDue();
    const tickets = await list('Ticket');
    expect(tickets.map((ticket) => ticket['subject'])).to.deep.equal(['a', 'b']);
    const notes = await list('Note');
    const threadOf = (note: Readonly<Record<string, unknown>>): number =>
      tickets.findIndex((ticket) => JSON.stringify(note['ticket']).includes(String(ticket['id'])));
    expect(notes.map((note) => [note['subject'], threadOf(note)])).to.have.deep.members([
      ['a', 0],
      ['b', 1],
      ['c', 1],
      ['d', 0],
      ['e', 0],
      ['e', 1],
    ]);
  });

  it('takes what comes to the account of bounces as reports, and makes no record of them', async () => {
    const user = newUser();
    server.deliver(user, letter('Undelivered', { headers: 'Delivered-To: bounces@plan.example\r\n', to: 'bounces@plan.example' }));
    expect(await fetcherOf(server.account(user, { mailbox: null })).fetchDue()).to.equal(1);
    expect(await subjects()).to.deep.equal([]);
    expect(await rows(desk.db, sql`select mailbox from credenza.inbound_mail`)).to.deep.equal([{ mailbox: '(bounces)' }]);
  });

  it('fetches nothing into a sandbox: the messages are those of the plan that it is a copy of', async () => {
    const user = newUser();
    server.deliver(user, letter('real'));
    await run(desk.db, sql`insert into credenza.setting (key, value) values ('sandbox', 'true'::jsonb)`);
    try {
      expect(await fetcherOf(server.account(user)).fetchDue()).to.equal(0);
      expect(await server.look(user, 'INBOX')).to.have.length(1);
    } finally {
      await run(desk.db, sql`delete from credenza.setting where key = 'sandbox'`);
    }
  });

  it('looks after accounts by itself until it is stopped', async () => {
    const user = newUser();
    const filed = new Promise<void>((resolve) => {
      onWrite = () => Promise.resolve(resolve());
    });
    server.deliver(user, letter('by itself'));
    const fetcher = fetcherOf(server.account(user));
    fetcher.start();
    await filed;
    await fetcher.stop();
    expect(await state()).to.include({ holder: null });
    expect(await fetcher.fetchDue(), 'stopped').to.equal(0);
  });
});
