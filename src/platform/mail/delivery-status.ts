/** Reports about mails of ours: what the machine that could not deliver one says of it (RFC 3464), or that its reader complained (RFC 5965). */
export interface DeliveryReport {
  /** Message-IDs of the mails that the report is about, as it returns their headers. */
  readonly messageIds: readonly string[];
  readonly recipients: readonly RecipientStatus[];
  /** Set when the mail's reader, or its provider, says that it was not wanted. */
  readonly complaint: Complaint | null;
}

export interface Complaint {
  /** `abuse`, `fraud`, `virus` or another word of the provider's. */
  readonly kind: string;
  /** Return path that the mail came with, as far as the provider says. */
  readonly returnPath: string;
}

export interface RecipientStatus {
  /** `failed`, `delayed`, `delivered`, `relayed` or `expanded`. */
  readonly action: string;
  /** `class.subject.detail` (RFC 3463); empty when the machine gave none. */
  readonly status: string;
  readonly diagnostic: string;
}

/** Header fields of a block, names in lower case, folded lines joined; a field that comes twice keeps its first value. */
function fieldsOf(block: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of block.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    if (name !== '' && !fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

/** Reads the body of a message/delivery-status part: a block about the message, then one for each recipient. */
export function parseDeliveryStatus(text: string): readonly RecipientStatus[] {
  return text
    .split(/\r?\n[ \t]*\r?\n/)
    .map(fieldsOf)
    .filter((fields) => fields.has('action'))
    .map((fields) => ({
      action: (fields.get('action') ?? '').toLowerCase().replace(/[^a-z-].*$/, ''),
      status: /^[245]\.\d{1,3}\.\d{1,3}/.exec(fields.get('status') ?? '')?.[0] ?? '',
      diagnostic: (fields.get('diagnostic-code') ?? '').slice(0, 400),
    }));
}

/** The Message-ID in the headers of a returned message, or null. */
export function returnedMessageId(text: string): string | null {
  const head = text.split(/\r?\n\r?\n/, 1)[0] ?? '';
  return /<[^<>\s]+>/.exec(fieldsOf(head).get('message-id') ?? '')?.[0] ?? null;
}

/**
 * Whether a permanent failure says that nobody can be written at the address any more. A status of class 5 is permanent
 * (RFC 3463, 3.1; rules.md, campaign mail), but one about the message's size (X.3.4), its content (X.6) or the receiver's
 * policy (X.7) is about this message and not about the address.
 */
export function isDeadAddress(status: string): boolean {
  return status.startsWith('5.') && !/^5\.(?:3\.4|6\.\d+|7\.\d+)$/.test(status);
}

/** Reads the body of a message/feedback-report part (RFC 5965, 3). Null for one that says the mail was wanted. */
export function parseFeedback(text: string): Complaint | null {
  const fields = fieldsOf(text.trim());
  const kind = (fields.get('feedback-type') ?? '').toLowerCase().replace(/[^a-z-].*$/, '');
  if (kind === '' || kind === 'not-spam') return null;
  return { kind, returnPath: /[^<>\s]+@[^<>\s]+/.exec(fields.get('original-mail-from') ?? '')?.[0] ?? '' };
}
