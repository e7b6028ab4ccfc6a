import { AppError } from '../errors.ts';

const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const DOMAIN = /^(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * One plain mailbox address, its domain in lower case. Groups, lists, quoted local parts, comments, display names and line
 * breaks are refused, so that an envelope never holds more than the one recipient that was meant (quality.md, 6: case 58).
 * @throws AppError validation_failed
 */
export function parseAddress(text: string, pointer = '/to'): string {
  const trimmed = text.trim();
  const at = trimmed.lastIndexOf('@');
  const local = trimmed.slice(0, at);
  const domain = trimmed.slice(at + 1);
  if (at < 1 || /[\r\n]/.test(text) || local.length > 64 || !LOCAL.test(local) || !DOMAIN.test(domain)) {
    throw new AppError('validation_failed', 'This is not one plain e-mail address.', {
      errors: [
        { pointer, code: 'email', detail: 'This is not one plain e-mail address.', fix: 'Write it as name@domain, without name, quotes or further addresses.' },
      ],
    });
  }
  return `${local}@${domain.toLowerCase()}`;
}

/** The key that an address is suppressed by: providers of mailboxes do not tell upper from lower case. */
export function suppressionKey(address: string): string {
  return address.toLowerCase();
}

/** A header value on one line. @throws AppError rule_failed when it holds a line break */
export function oneLine(value: string, what: string): string {
  if (/[\r\n\u2028\u2029\0]/.test(value)) throw new AppError('rule_failed', `${what} holds a line break, which would start another mail header.`);
  return value;
}

/** `Name <address>` or a bare address, as in MAIL_FROM. @throws AppError config_invalid */
export function parseSender(text: string): { readonly name: string; readonly address: string } {
  const match = /^\s*(?:"?([^"<>\r\n]*?)"?\s*<([^<>]+)>|([^<>\s]+))\s*$/.exec(text);
  const address = match?.[2] ?? match?.[3];
  if (address === undefined) throw new AppError('config_invalid', 'The sender of mail must be written "Name <address>" or "address".');
  return { name: match?.[1] ?? '', address: parseAddress(address, '/MAIL_FROM') };
}

/** `local+t-token@domain`: replies to it find their thread. */
export function threadAddress(address: string, token: string): string {
  const at = address.lastIndexOf('@');
  return `${address.slice(0, at)}+t-${token}${address.slice(at)}`;
}

/** `local+d-id@domain`: where a report about one delivery comes back to (a return path of its own, VERP). */
export function returnPath(bounces: string, deliveryId: string): string {
  const at = bounces.lastIndexOf('@');
  return `${bounces.slice(0, at)}+d-${deliveryId.replaceAll('-', '')}${bounces.slice(at)}`;
}

/** The delivery that a return path names; null when the address is no return path below `bounces`, `{ id: null }` for the plain address. */
export function splitReturnPath(bounces: string, address: string): { readonly id: string | null } | null {
  const given = address.toLowerCase();
  const own = bounces.toLowerCase();
  if (given === own) return { id: null };
  const match = /^(.+)\+d-([0-9a-f]{32})(@[^@]+)$/.exec(given);
  if (match === null || `${match[1] ?? ''}${match[3] ?? ''}` !== own) return null;
  return { id: (match[2] ?? '').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') };
}

/** Takes the thread token out of an address, if it has one. */
export function splitThreadAddress(address: string): { readonly address: string; readonly token: string | null } {
  const match = /^(.+)\+t-([0-9a-z]+)(@[^@]+)$/i.exec(address);
  if (match === null) return { address: address.toLowerCase(), token: null };
  return { address: `${match[1] ?? ''}${match[3] ?? ''}`.toLowerCase(), token: (match[2] ?? '').toLowerCase() };
}
