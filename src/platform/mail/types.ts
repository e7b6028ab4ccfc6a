import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';

export interface QueueMail {
  /** Template path below `templates/`, without extension (`mail/campaign-invitation`): `.hbs` (HTML, front matter with subject) and an optional `.txt.hbs` twin. */
  readonly template: string;
  readonly to: string;
  readonly class: 'campaign' | 'transactional';
  /** Stable key of this effect: a second queueing with the same key does nothing. */
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly about: { readonly object: string; readonly id: string } | null;
  readonly mailbox?: string;
  readonly inReplyTo?: string;
  readonly attachments?: readonly { readonly fileId: string; readonly name: string }[];
  /** Says in the header `Auto-Submitted` that no person wrote this mail, so that other machines do not answer it. Default `generated`; `no` for a person's own words. */
  readonly automatic?: 'generated' | 'replied' | 'no';
}

export interface MailQueue {
  /** Renders the mail and inserts the delivery row; nothing leaves the process before commit. Throws rule_failed for unknown variables. */
  queue(tx: Knex.Transaction, context: CallContext, mail: QueueMail): Promise<{ readonly deliveryId: string; readonly queued: boolean }>;
}

export type DeliveryState = 'queued' | 'sending' | 'sent' | 'captured' | 'bounced' | 'failed' | 'unknown' | 'suppressed';
