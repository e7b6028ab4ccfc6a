import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';

/** A record that many mails belong to, a campaign for example: by it they are held, counted and listed. */
export interface MailGroup {
  readonly object: string;
  readonly id: string;
}

export interface QueueMail {
  /** Template path below `templates/`, without extension (`mail/campaign-invitation`): `.hbs` (HTML, front matter with subject) and an optional `.txt.hbs` twin. */
  readonly template: string;
  readonly to: string;
  readonly class: 'campaign' | 'transactional';
  /** Stable key of this effect: a second queueing with the same key does nothing. */
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly about: { readonly object: string; readonly id: string } | null;
  readonly group?: MailGroup;
  readonly mailbox?: string;
  readonly inReplyTo?: string;
  readonly attachments?: readonly { readonly fileId: string; readonly name: string }[];
  /** Says in the header `Auto-Submitted` that no person wrote this mail, so that other machines do not answer it. Default `generated`; `no` for a person's own words. */
  readonly automatic?: 'generated' | 'replied' | 'no';
  /** What becomes of an address that nobody can be written at: `refuse` (the default) throws, `record` keeps the mail as failed, with the reason. */
  readonly badAddress?: 'refuse' | 'record';
}

export interface QueuedMail {
  readonly deliveryId: string;
  /** False when it was queued before, the address is suppressed, or nobody can be written at it. */
  readonly queued: boolean;
  /** Why it can never be sent. */
  readonly failure?: string;
  /** Set when it is not sent because the address is suppressed. */
  readonly suppressed?: true;
}

export interface MailQueue {
  /**
   * Renders the mail and inserts the delivery row; nothing leaves the process before commit.
   * @throws AppError rule_failed for unknown variables, validation_failed for an address that is none (unless it is recorded)
   */
  queue(tx: Knex.Transaction, context: CallContext, mail: QueueMail): Promise<QueuedMail>;
  /** As `queue`, for several mails: what is looked up and inserted takes one statement each. Answers in their order. */
  queueAll(tx: Knex.Transaction, asked: readonly MailOfCall[]): Promise<readonly QueuedMail[]>;
}

/** A mail and the call that it comes from. */
export interface MailOfCall {
  readonly context: CallContext;
  readonly mail: QueueMail;
}

export type DeliveryState = 'queued' | 'sending' | 'sent' | 'captured' | 'bounced' | 'failed' | 'unknown' | 'suppressed';
