import { createHash, createVerify, type KeyObject } from 'node:crypto';

/** What a signature covers and whether it holds. */
export interface DkimCheck {
  readonly domain: string;
  readonly selector: string;
  /** Names of the signed header fields, in lower case. */
  readonly fields: readonly string[];
  readonly bodyHolds: boolean;
  readonly headersHold: boolean;
}

interface Field {
  readonly name: string;
  readonly value: string;
}

/** Relaxed, for a header field (RFC 6376, 3.4.2). */
function relaxedField({ name, value }: Field): string {
  return `${name.toLowerCase().trim()}:${value
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .trim()}`;
}

/** Relaxed, for a body (RFC 6376, 3.4.4). */
function relaxedBody(body: string): string {
  const lines = body.split('\r\n').map((line) => line.replace(/[ \t]+/g, ' ').replace(/ $/, ''));
  while (lines.at(-1) === '') lines.pop();
  return lines.length === 0 ? '' : `${lines.join('\r\n')}\r\n`;
}

/**
 * Checks the first DKIM signature of a mail as it arrived, as RFC 6376 says and without help of the library that signed it:
 * relaxed/relaxed, rsa-sha256. Null when there is none.
 */
export function checkDkim(raw: string, publicKey: KeyObject): DkimCheck | null {
  const at = raw.indexOf('\r\n\r\n');
  const head = raw.slice(0, at).split(/\r\n(?![ \t])/);
  const fields = head.map((line): Field => ({ name: line.slice(0, line.indexOf(':')), value: line.slice(line.indexOf(':') + 1) }));
  const own = fields.find((field) => field.name.toLowerCase() === 'dkim-signature');
  if (own === undefined) return null;
  const tags = new Map(
    own.value.split(';').flatMap((part) => (part.includes('=') ? [[part.slice(0, part.indexOf('=')).trim(), part.slice(part.indexOf('=') + 1)] as const] : [])),
  );
  const tag = (name: string): string => (tags.get(name) ?? '').replace(/\s+/g, '');
  if (tag('v') !== '1' || tag('a') !== 'rsa-sha256' || tag('c') !== 'relaxed/relaxed')
    throw new Error(`This checks rsa-sha256 with relaxed/relaxed only: ${own.value}`);
  const names = tag('h').toLowerCase().split(':');
  // Of fields that stand there more than once the last unsigned one is taken each time; one that is not there counts as empty.
  const left = [...fields].reverse();
  const signed = names.flatMap((name) => {
    const index = left.findIndex((field) => field.name.toLowerCase() === name);
    return index < 0 ? [] : left.splice(index, 1).map((field) => `${relaxedField(field)}\r\n`);
  });
  const unsigned = relaxedField({ name: own.name, value: own.value.replace(/(^|;)(\s*)b=[^;]*/, '$1$2b=') });
  const verify = createVerify('RSA-SHA256').update(`${signed.join('')}${unsigned}`, 'latin1');
  return {
    domain: tag('d'),
    selector: tag('s'),
    fields: names,
    bodyHolds:
      createHash('sha256')
        .update(relaxedBody(raw.slice(at + 4)), 'latin1')
        .digest('base64') === tag('bh'),
    headersHold: verify.verify(publicKey, tag('b'), 'base64'),
  };
}
