/** Child process of `inbound.ts`: reads one message after the other, within its own memory and time. */
import { createHash } from 'node:crypto';
import { simpleParser, type AddressObject, type ParsedMail } from 'mailparser';
import { answerParent } from '../child.ts';
import { parseDeliveryStatus, parseFeedback, returnedMessageId, type DeliveryReport } from './delivery-status.ts';
import type { ParsedFile, ParsedMessage } from './parsed.ts';

/** PostgreSQL keeps no NUL in text. */
function clean(value: string | undefined): string {
  return (value ?? '').replaceAll('\0', '');
}

function firstAddress(found: AddressObject | readonly AddressObject[] | undefined): { readonly address: string; readonly name: string } {
  const one = Array.isArray(found) ? found[0] : found;
  const entry = one !== undefined && 'value' in one ? one.value[0] : undefined;
  return { address: clean(entry?.address).toLowerCase(), name: clean(entry?.name) };
}

function header(mail: ParsedMail, name: string): string {
  return mail.headerLines
    .filter((line) => line.key === name)
    .map((line) =>
      line.line
        .slice(line.line.indexOf(':') + 1)
        .trim()
        .toLowerCase(),
    )
    .join(' ');
}

/** Header fields in which servers note the address that a message was delivered to. */
const DELIVERED: readonly string[] = ['delivered-to', 'x-original-to', 'envelope-to', 'x-envelope-to', 'x-forwarded-to'];

/** Plain addresses in header fields, in lower case; no more than could matter. */
function addressesIn(mail: ParsedMail, names: readonly string[]): readonly string[] {
  return [...new Set(names.flatMap((name) => header(mail, name).match(/[^\s<>()[\],;:"]+@[^\s<>()[\],;:"]+/g) ?? []))].slice(0, 100);
}

/** RFC 3834 and custom: machines and lists, which get no automatic answer. */
function isAutoReply(mail: ParsedMail, from: string): boolean {
  const submitted = header(mail, 'auto-submitted');
  return (
    (submitted !== '' && submitted !== 'no') ||
    /\b(?:bulk|junk|list|auto_reply)\b/.test(header(mail, 'precedence')) ||
    ['list-id', 'list-unsubscribe', 'x-autoreply', 'x-autorespond'].some((name) => header(mail, name) !== '') ||
    /\b(?:all|autoreply|oof)\b/.test(header(mail, 'x-auto-response-suppress')) ||
    header(mail, 'return-path') === '<>' ||
    header(mail, 'content-type').startsWith('multipart/report') ||
    /^(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply)@/.test(from)
  );
}

/** The report of a message that is one, from its part message/delivery-status (RFC 3464) or message/feedback-report (RFC 5965) and the mail that it returns. */
function reportOf(mail: ParsedMail): DeliveryReport | null {
  const status = mail.attachments.find((part) => part.contentType === 'message/delivery-status');
  const feedback = mail.attachments.find((part) => part.contentType === 'message/feedback-report');
  const complaint = feedback === undefined ? null : parseFeedback(clean(feedback.content.toString('utf8')));
  if (status === undefined && complaint === null) return null;
  const returned = mail.attachments.filter((part) => part.contentType === 'message/rfc822' || part.contentType === 'text/rfc822-headers');
  const messageIds = returned.map((part) => returnedMessageId(part.content.toString('latin1'))).filter((id) => id !== null);
  return { messageIds, recipients: status === undefined ? [] : parseDeliveryStatus(clean(status.content.toString('utf8'))), complaint };
}

function filesOf(mail: ParsedMail): readonly ParsedFile[] {
  return mail.attachments.map((part) => ({ name: clean(part.filename), mediaType: part.contentType, bytes: part.content }));
}

function digest(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

async function parse(raw: Buffer): Promise<ParsedMessage> {
  const mail = await simpleParser(raw, { skipImageLinks: true, skipTextToHtml: true, keepDeliveryStatus: true });
  const from = firstAddress(mail.from);
  const files = filesOf(mail);
  const prints = files.map((file) => [file.name, createHash('sha256').update(file.bytes).digest('hex')]);
  const references = typeof mail.references === 'string' ? [mail.references] : (mail.references ?? []);
  return {
    from: from.address,
    fromName: from.name === '' ? null : from.name,
    to: firstAddress(mail.to).address,
    recipients: { delivered: addressesIn(mail, DELIVERED), written: addressesIn(mail, ['to', 'cc']) },
    subject: clean(mail.subject)
      .replace(/[\r\n]+/g, ' ')
      .trim(),
    text: clean(mail.text).trim(),
    html: typeof mail.html === 'string' ? clean(mail.html) : null,
    messageId: mail.messageId === undefined ? null : clean(mail.messageId).trim(),
    inReplyTo: mail.inReplyTo === undefined ? null : clean(mail.inReplyTo).trim(),
    references: references.map(clean),
    isAutoReply: isAutoReply(mail, from.address),
    date: clean(header(mail, 'date')),
    contentHash: digest(from.address, clean(mail.subject), clean(mail.text).trim(), clean(typeof mail.html === 'string' ? mail.html : ''), prints),
    files,
    report: reportOf(mail),
  };
}

answerParent((payload) => {
  if (!(payload instanceof Uint8Array)) return Promise.reject(new TypeError('A message is bytes.'));
  return parse(Buffer.from(payload));
});
