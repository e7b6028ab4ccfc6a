import type { Knex } from 'knex';

/**
 * The copy of a message that came in may be given up while its identity stays; who was acknowledged how often on a day is counted; and
 * mailboxes that are fetched keep their place, with the messages there that could not be filed. Columns are only loosened and tables are
 * new, so nobody waits but for the index, and the release before goes on.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  alter table inbound_mail alter column raw drop not null;
  create index inbound_mail_kept on inbound_mail (mailbox, received_at) where raw is not null;
  create table mail_acknowledged (
    sender text collate "C" not null, day date not null, mails integer not null, primary key (sender, day));
  create table mail_fetch (
    account text collate "C" primary key, uid_validity text collate "C", uid bigint not null default 0,
    holder text collate "C", lease_until timestamptz(3), due_at timestamptz(3) not null, failures integer not null default 0,
    fetched_at timestamptz(3), failed_at timestamptz(3), failure text);
  create table mail_unfiled (
    account text collate "C" not null, uid_validity text collate "C" not null, uid bigint not null, reason text not null, bytes bigint not null,
    attempts integer not null default 1, first_at timestamptz(3) not null, next_at timestamptz(3), primary key (account, uid_validity, uid));
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
