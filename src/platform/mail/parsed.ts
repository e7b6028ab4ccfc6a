import { AppError } from '../errors.ts';

/** A message as expressions of mailboxes see it (variable `mail`), and what threading needs. */
export interface ParsedMessage {
  readonly from: string;
  readonly fromName: string | null;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string | null;
  readonly messageId: string | null;
  readonly inReplyTo: string | null;
  readonly references: readonly string[];
  readonly isAutoReply: boolean;
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
    subject: text(answer, 'subject') ?? '',
    text: text(answer, 'text') ?? '',
    html: text(answer, 'html'),
    messageId: text(answer, 'messageId'),
    inReplyTo: text(answer, 'inReplyTo'),
    references: Array.isArray(references) ? references.map(String) : [],
    isAutoReply: 'isAutoReply' in answer && answer.isAutoReply === true,
  };
}
