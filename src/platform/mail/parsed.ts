import { AppError } from '../errors.ts';
import type { Complaint, DeliveryReport, RecipientStatus } from './delivery-status.ts';

/** A file that came with a message, with the name and type that its sender gave it. */
export interface ParsedFile {
  readonly name: string;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** A message as expressions of mailboxes see it (variable `mail`), and what threading needs. */
export interface ParsedMessage {
  readonly from: string;
  readonly fromName: string | null;
  readonly to: string;
  /** Addresses that it was delivered to, as servers on the way noted, before those that it was written to. */
  readonly recipients: { readonly delivered: readonly string[]; readonly written: readonly string[] };
  readonly subject: string;
  readonly text: string;
  readonly html: string | null;
  readonly messageId: string | null;
  readonly inReplyTo: string | null;
  readonly references: readonly string[];
  readonly isAutoReply: boolean;
  /** The header `Date` as it stands there; empty without one. */
  readonly date: string;
  /** Fingerprint of what the message says (sender, subject, texts, files), whatever the relays wrote above it. */
  readonly contentHash: string;
  readonly files: readonly ParsedFile[];
  /** For a report about mails of ours. */
  readonly report: DeliveryReport | null;
}

function text(found: object, name: string): string | null {
  const value: unknown = Object.hasOwn(found, name) ? Object.entries(found).find(([key]) => key === name)?.[1] : null;
  return typeof value === 'string' ? value : null;
}

/** Boundary: the answer of the parsing child. */
export function toParsedMessage(answer: unknown): ParsedMessage {
  if (typeof answer !== 'object' || answer === null) throw new AppError('internal', 'The message could not be read: the parser gave no answer.');
  const references: unknown = 'references' in answer ? answer.references : [];
  return {
    from: text(answer, 'from') ?? '',
    fromName: text(answer, 'fromName'),
    to: text(answer, 'to') ?? '',
    recipients: toRecipients('recipients' in answer ? answer.recipients : null),
    subject: text(answer, 'subject') ?? '',
    text: text(answer, 'text') ?? '',
    html: text(answer, 'html'),
    messageId: text(answer, 'messageId'),
    inReplyTo: text(answer, 'inReplyTo'),
    references: Array.isArray(references) ? references.map(String) : [],
    isAutoReply: 'isAutoReply' in answer && answer.isAutoReply === true,
    date: text(answer, 'date') ?? '',
    contentHash: text(answer, 'contentHash') ?? '',
    files: 'files' in answer && Array.isArray(answer.files) ? answer.files.flatMap(toFile) : [],
    report: 'report' in answer ? toReport(answer.report) : null,
  };
}

function toRecipients(found: unknown): ParsedMessage['recipients'] {
  const list = (name: 'delivered' | 'written'): readonly string[] => {
    const value: unknown = typeof found === 'object' && found !== null ? Object.entries(found).find(([key]) => key === name)?.[1] : null;
    return Array.isArray(value) ? value.map(String) : [];
  };
  return { delivered: list('delivered'), written: list('written') };
}

function toFile(found: unknown): readonly ParsedFile[] {
  if (typeof found !== 'object' || found === null || !('bytes' in found) || !(found.bytes instanceof Uint8Array)) return [];
  return [{ name: text(found, 'name') ?? '', mediaType: text(found, 'mediaType') ?? '', bytes: found.bytes }];
}

function toReport(found: unknown): DeliveryReport | null {
  if (typeof found !== 'object' || found === null) return null;
  const messageIds: unknown = 'messageIds' in found ? found.messageIds : [];
  const recipients: unknown = 'recipients' in found ? found.recipients : [];
  return {
    messageIds: Array.isArray(messageIds) ? messageIds.map(String) : [],
    recipients: Array.isArray(recipients) ? recipients.flatMap(toRecipient) : [],
    complaint: 'complaint' in found ? toComplaint(found.complaint) : null,
  };
}

function toComplaint(found: unknown): Complaint | null {
  if (typeof found !== 'object' || found === null) return null;
  return { kind: text(found, 'kind') ?? '', returnPath: text(found, 'returnPath') ?? '' };
}

function toRecipient(found: unknown): readonly RecipientStatus[] {
  if (typeof found !== 'object' || found === null) return [];
  return [{ action: text(found, 'action') ?? '', status: text(found, 'status') ?? '', diagnostic: text(found, 'diagnostic') ?? '' }];
}
