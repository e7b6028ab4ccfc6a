import { fork } from 'node:child_process';
import { once } from 'node:events';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createTransport } from 'nodemailer';
import { systemClock } from '../../src/platform/clock.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { makeFileStore } from '../../src/platform/files/store.ts';
import { SIGNED_FIELDS } from '../../src/platform/mail/dkim.ts';
import { makeMailSender } from '../../src/platform/mail/sender.ts';
import type { MailOfCall } from '../../src/platform/mail/types.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { makeDesk } from '../platform/mail/fixtures/desk.ts';

/**
 * Campaign mail to a server on this machine, with template, row, unsubscribe link and suppression check, beside nodemailer's own pool
 * of 10 that sends the same texts (`quality.md`, section 5). `dkim` as second word signs both.
 *
 * TEST_DATABASE_URL=... npx tsx test/bench/campaign-mail.ts 3000 [dkim]
 */
const MAILS = Number(process.argv[2] ?? 3000);
const SIGNED = process.argv[3] === 'dkim';
const CONNECTIONS = 10;
const GOAL = 0.6;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const perSecond = (count: number, ms: number): number => (count * 1000) / ms;
const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const recipient = (index: number): string => `p${String(index)}@practice${String(index % 50)}.example`;

const sink = fork(fileURLToPath(new URL('./mail-sink.ts', import.meta.url)), { execArgv: ['--import=tsx'] });
const answer = async (): Promise<Readonly<Record<string, unknown>>> => {
  const [found] = (await once(sink, 'message')) as readonly Readonly<Record<string, unknown>>[];
  return found ?? {};
};
const { port } = await answer();
const url = `smtp://127.0.0.1:${String(port)}`;
/** What came in since it was last asked. */
async function arrived(): Promise<void> {
  sink.send('count');
  const { count, different } = await answer();
  if (count !== MAILS || different !== MAILS) throw new Error(`Of ${String(MAILS)} mails ${String(count)} came in, ${String(different)} of them different.`);
}

const desk = await makeDesk();
try {
  const asked = Array.from({ length: MAILS }, (_, index): MailOfCall => ({
    context: desk.context(),
    mail: {
      template: 'mail/invite',
      to: recipient(index),
      class: 'campaign',
      key: `bench ${String(index)}`,
      data: { record: { name: `Ann ${String(index)}`, day: '2026-03-05' } },
      about: { object: 'Ticket', id: randomUUID() },
    },
  }));
  const queueFrom = performance.now();
  for (let from = 0; from < MAILS; from += 100) await inTransaction(desk.db, (tx) => desk.queue.queueAll(tx, asked.slice(from, from + 100)));
  const queueMs = performance.now() - queueFrom;
  await desk.db.raw('vacuum analyze');
  const [sample] = await rows(desk.db, sql`select subject, html, plain, headers from credenza.mail_delivery limit 1`);

  const key = { domain: 'plan.example', selector: 'bench', privateKey };
  const sender = makeMailSender({
    smtpUrl: url,
    clock: systemClock,
    log: desk.log,
    files: makeFileStore({ newId: randomUUID }),
    dkim: SIGNED ? key : null,
  });
  const sendFrom = performance.now();
  while ((await sender.sendDue(desk.db, { limit: MAILS })).sent > 0);
  const sendMs = performance.now() - sendFrom;
  sender.close();
  await arrived();
  const [states] = await rows(desk.db, sql`select count(*) filter (where state = 'sent' and attempt = 1)::int as sent from credenza.mail_delivery`);
  if (states?.['sent'] !== MAILS) throw new Error(`Of ${String(MAILS)} mails ${String(states?.['sent'])} count as sent once.`);

  const signing = { domainName: key.domain, keySelector: key.selector, privateKey, headerFieldNames: SIGNED_FIELDS.join(':') };
  const pool = createTransport({ pool: true, url, maxConnections: CONNECTIONS, maxMessages: 200, ...(SIGNED ? { dkim: signing } : {}) });
  const { From: from, ...headers } = Object(sample?.['headers']);
  const poolFrom = performance.now();
  const numbers = asked.keys();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (const index of numbers)
        await pool.sendMail({
          from,
          to: recipient(index),
          subject: String(sample?.['subject']),
          text: String(sample?.['plain']),
          html: String(sample?.['html']),
          headers,
          messageId: `<${String(index)}@pool.example>`,
        });
    }),
  );
  const poolMs = performance.now() - poolFrom;
  pool.close();
  await arrived();

  const [sending, whole, theirs] = [perSecond(MAILS, sendMs), perSecond(MAILS, sendMs + queueMs), perSecond(MAILS, poolMs)];
  say(
    `campaign mail${SIGNED ? ', signed' : ''}: ${sending.toFixed(0)} a second sent, ${whole.toFixed(0)} with queueing; nodemailer's pool of ${String(CONNECTIONS)}: ${theirs.toFixed(0)}; ` +
      `ratio ${(sending / theirs).toFixed(2)} and ${(whole / theirs).toFixed(2)} (goal ${String(GOAL)}); load average ${loadavg()[0]?.toFixed(1) ?? ''}`,
  );
} finally {
  sink.send('end');
  await desk.drop();
}
