import type { Knex } from 'knex';

/**
 * A message is known again by mailbox, Message-ID and what it says: senders use a Message-ID twice, and some give none. A
 * message that was sent to several threads of a mailbox is kept once for each (`copy`). Reports of failed deliveries name
 * the delivery that they are about, which is looked for by its Message-ID.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  alter table inbound_mail add column content_hash text collate "C" not null default '', add column copy integer not null default 0, add column delivery_id uuid;
  alter table inbound_mail drop constraint inbound_mail_mailbox_message_id_key;
  alter table inbound_mail add constraint inbound_mail_identity unique (mailbox, message_id, content_hash, copy);
  create index mail_delivery_message on mail_delivery (message_id);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
