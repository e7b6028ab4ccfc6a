import { AppError } from '../../platform/errors.ts';
import { deliveriesAbout, mailAsSent } from '../../platform/mail/mail.sql.ts';
import type { DemoHands } from './demo-host.ts';

/** The last mail about a record, as the machine that received it has it. */
async function lastMail({ host }: DemoHands, recordId: string): Promise<NonNullable<Awaited<ReturnType<typeof mailAsSent>>>> {
  for (const delivery of await deliveriesAbout(host.db, recordId)) {
    const mail = await mailAsSent(host.db, delivery.id);
    if (mail !== null) return mail;
  }
  throw new AppError('internal', 'The demo found no mail that was sent about a record.');
}

/** The mail server of a practice finds nobody at an address, and reports so (RFC 3464). */
export async function bounce(hands: DemoHands, recordId: string): Promise<void> {
  const { inbound, bounceAddress, clock } = hands.host;
  const { messageId, recipient } = await lastMail(hands, recordId);
  const domain = recipient.slice(recipient.lastIndexOf('@') + 1);
  const report = [
    `From: Mail Delivery System <mailer-daemon@mx.${domain}>`,
    `To: ${bounceAddress}`,
    'Subject: Undelivered Mail Returned to Sender',
    `Date: ${new Date(clock.nowMs()).toUTCString()}`,
    `Message-ID: <report-${recordId}@mx.${domain}>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary="report"',
    '',
    '--report',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Your message could not be delivered: there is no such mailbox here.',
    '--report',
    'Content-Type: message/delivery-status',
    '',
    `Reporting-MTA: dns; mx.${domain}`,
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    'Action: failed',
    'Status: 5.1.1',
    `Diagnostic-Code: smtp; 550 5.1.1 <${recipient}>: no such mailbox`,
    '',
    '--report',
    'Content-Type: text/rfc822-headers',
    '',
    `Message-ID: ${messageId}`,
    `To: ${recipient}`,
    '',
    '--report--',
    '',
  ];
  await inbound.receive(Buffer.from(report.join('\r\n')), { from: '', to: bounceAddress });
  await hands.settle();
}
