/** Child process of `inbound.ts`: reads one message after the other, within its own memory and time. */
import { simpleParser, type AddressObject, type ParsedMail } from 'mailparser';
import { answerParent } from '../child.ts';
import type { ParsedMessage } from './parsed.ts';

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

async function parse(raw: Buffer): Promise<ParsedMessage> {
  const mail = await simpleParser(raw, { skipImageLinks: true, skipTextToHtml: true });
  const from = firstAddress(mail.from);
  const references = typeof mail.references === 'string' ? [mail.references] : (mail.references ?? []);
  return {
    from: from.address,
    fromName: from.name === '' ? null : from.name,
    to: firstAddress(mail.to).address,
    subject: clean(mail.subject)
      .replace(/[\r\n]+/g, ' ')
      .trim(),
    text: clean(mail.text).trim(),
    html: typeof mail.html === 'string' ? clean(mail.html) : null,
    messageId: mail.messageId === undefined ? null : clean(mail.messageId).trim(),
    inReplyTo: mail.inReplyTo === undefined ? null : clean(mail.inReplyTo).trim(),
    references: references.map(clean),
    isAutoReply: isAutoReply(mail, from.address),
  };
}

answerParent((payload) => {
  if (!(payload instanceof Uint8Array)) return Promise.reject(new TypeError('A message is bytes.'));
  return parse(Buffer.from(payload));
});
