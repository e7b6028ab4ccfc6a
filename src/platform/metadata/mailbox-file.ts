import type { Expression } from './scalars.ts';

/** A mailbox of the metadata: what its messages become. */
export interface MailboxFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label: string;
  readonly address: string;
  /** What a message becomes. Values are expressions over `mail` (from, fromName, to, subject, text, html, receivedAt, messageId, inReplyTo). */
  readonly creates: {
    readonly thread: { readonly object: string; readonly values: Readonly<Record<string, Expression>> };
    readonly message: { readonly object: string; readonly reference: string; readonly values: Readonly<Record<string, Expression>> };
    /** A record for each file that came with the message; `file` gets the file, unless it was refused. Values may name `attachment` (name, mediaType, size, note). */
    readonly attachment?: {
      readonly object: string;
      readonly reference: string;
      readonly file: string;
      readonly values: Readonly<Record<string, Expression>>;
    };
  };
  /** A mail to the sender of a new thread; `atMost` (an expression) is how many of them one sender gets on a day of the plan. */
  readonly acknowledge?: { readonly template: string; readonly atMost?: Expression };
  /** How long the message is kept as it came (its records stay): days after the day of its receipt, as an expression. Absent: always. */
  readonly retention?: { readonly days: Expression };
}
