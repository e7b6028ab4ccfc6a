import type { Knex } from 'knex';
import type { ObjectModel } from '../model/types.ts';
import { ident, keyword, platformTable, rows, run, sql, type Sql } from '../sql.ts';

export interface ThreadRef {
  readonly object: string;
  readonly id: string;
}

export interface NewInbound {
  readonly id: string;
  readonly mailbox: string;
  readonly messageId: string;
  readonly sender: string;
  readonly subject: string;
  readonly receivedAt: string;
  readonly raw: Buffer;
  readonly autoReply: boolean;
  /** Fingerprint of what it says. */
  readonly contentHash: string;
  /** Counts the threads that the same message is filed in, from 0. */
  readonly copy: number;
}

/** Stands for a mailbox where a message came to the address of bounces. */
export const BOUNCES = '(bounces)';

/** Keeps a message as it came; false when this copy of it is kept already. Waits for a transaction that is storing the same. */
export async function insertInbound(tx: Knex.Transaction, mail: NewInbound): Promise<boolean> {
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'inbound_mail')} (id, mailbox, message_id, sender, subject, received_at, raw, auto_reply, content_hash, copy)
        values (${mail.id}::uuid, ${mail.mailbox}, ${mail.messageId}, ${mail.sender}, ${mail.subject}, ${mail.receivedAt}::timestamptz, ${mail.raw}::bytea, ${mail.autoReply}::boolean,
          ${mail.contentHash}, ${mail.copy}::integer)
        on conflict (mailbox, message_id, content_hash, copy) do nothing`,
  );
  return inserted === 1;
}

/** Threads that the same message is filed in already, in the order in which it came. */
export async function threadsOfSame(
  tx: Knex.Transaction,
  mail: Pick<NewInbound, 'mailbox' | 'messageId' | 'contentHash'>,
): Promise<readonly (string | null)[]> {
  const found = await rows(
    tx,
    sql`select thread_id::text as id from ${platformTable(tx, 'inbound_mail')}
        where mailbox = ${mail.mailbox} and message_id = ${mail.messageId} and content_hash = ${mail.contentHash} order by copy for update`,
  );
  return found.map((row) => (typeof row['id'] === 'string' ? row['id'] : null));
}

/** True for a message that came before fingerprints were kept: the same Message-ID and, below the headers, the same bytes. */
export async function isFiledWithoutHash(tx: Knex.Transaction, mail: Pick<NewInbound, 'mailbox' | 'messageId' | 'raw'>): Promise<boolean> {
  const found = await rows(
    tx,
    sql`select 1 as one from ${platformTable(tx, 'inbound_mail')} m, (select ${mail.raw}::bytea as raw) given
        where m.mailbox = ${mail.mailbox} and m.message_id = ${mail.messageId} and (m.content_hash = '' and ${bodyOf(keyword('m.raw'))} = ${bodyOf(keyword('given.raw'))}
          or m.content_hash = ${bodyPrint(keyword('given.raw'))})`,
  );
  return found.length > 0;
}

/** What is below the headers of a message. */
function bodyOf(raw: Sql): Sql {
  return sql`substring(${raw} from position('\\x0d0a0d0a'::bytea in ${raw}))`;
}

/** Takes the place of the fingerprint of a message that came before fingerprints were kept, once its copy is gone. */
function bodyPrint(raw: Sql): Sql {
  return sql`'body:' || encode(sha256(${bodyOf(raw)}), 'hex')`;
}

/** The copies of one mailbox whose last day, `days` after the day of their receipt in the plan's zone, is before `today`. */
export interface OldCopies {
  readonly mailbox: string;
  readonly days: number;
  readonly today: string;
  readonly zone: string;
  /** At most so many at once. */
  readonly limit: number;
}

/** Gives up old copies, and keeps what the messages are known again by; answers how many there were. */
export async function purgeCopies(tx: Knex.Transaction, { mailbox, days, today, zone, limit }: OldCopies): Promise<number> {
  const table = platformTable(tx, 'inbound_mail');
  return run(
    tx,
    sql`update ${table} as m set raw = null, content_hash = case when content_hash = '' then ${bodyPrint(keyword('m.raw'))} else content_hash end
        where id in (select id from ${table}
          where mailbox = ${mailbox} and raw is not null and received_at < (${today}::date - ${days}::integer)::timestamp at time zone ${zone}
          order by received_at limit ${limit} for update skip locked)`,
  );
}

/** Counts one more acknowledgement of a day for a sender; false when there were as many as there may be. */
export async function countAcknowledged(tx: Knex.Transaction, sender: string, day: string, atMost: number): Promise<boolean> {
  if (atMost === 0) return false;
  const counted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'mail_acknowledged')} as a (sender, day, mails) values (${sender}, ${day}::date, 1)
        on conflict (sender, day) do update set mails = a.mails + 1 where a.mails < ${atMost}::integer`,
  );
  return counted === 1;
}

/** Forgets what was counted before yesterday. */
export async function forgetAcknowledged(tx: Knex.Transaction, today: string): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'mail_acknowledged')} where day < ${today}::date - 1`);
}

/** Notes which delivery a report was about. */
export async function linkReport(tx: Knex.Transaction, id: string, deliveryId: string): Promise<void> {
  await run(tx, sql`update ${platformTable(tx, 'inbound_mail')} set delivery_id = ${deliveryId}::uuid where id = ${id}::uuid`);
}

/** Notes which records a message became. */
export async function linkInbound(tx: Knex.Transaction, id: string, message: ThreadRef, thread: ThreadRef): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'inbound_mail')} set object = ${message.object}, record_id = ${message.id}::uuid, thread_object = ${thread.object}, thread_id = ${thread.id}::uuid
        where id = ${id}::uuid`,
  );
}

/** The thread's token, made on first use. */
export async function threadToken(tx: Knex.Transaction, thread: ThreadRef, fresh: string): Promise<string> {
  const table = platformTable(tx, 'mail_thread');
  await run(
    tx,
    sql`insert into ${table} (token, object, record_id) values (${fresh}, ${thread.object}, ${thread.id}::uuid) on conflict (record_id) do nothing`,
  );
  const [row] = await rows(tx, sql`select token from ${table} where record_id = ${thread.id}::uuid`);
  return String(row?.['token'] ?? fresh);
}

function toThread(row: Readonly<Record<string, unknown>> | undefined): ThreadRef | null {
  if (row === undefined || typeof row['object'] !== 'string' || typeof row['id'] !== 'string') return null;
  return { object: row['object'], id: row['id'] };
}

/** The thread that a token names, or null. */
export async function threadByToken(db: Knex, token: string): Promise<ThreadRef | null> {
  const [row] = await rows(db, sql`select object, record_id::text as id from ${platformTable(db, 'mail_thread')} where token = ${token}`);
  return toThread(row);
}

/** The thread of an earlier message of this mailbox, by its Message-ID, or null. */
export async function threadOfInbound(db: Knex, mailbox: string, messageIds: readonly string[]): Promise<ThreadRef | null> {
  const [row] = await rows(
    db,
    sql`select thread_object as object, thread_id::text as id from ${platformTable(db, 'inbound_mail')}
        where message_id = any(${messageIds}::text[]) and mailbox = ${mailbox} and thread_id is not null order by received_at desc limit 1`,
  );
  return toThread(row);
}

/** What our own mail with one of these Message-IDs was about, or null. */
export async function aboutOfSent(db: Knex, mailbox: string, messageIds: readonly string[]): Promise<ThreadRef | null> {
  const [row] = await rows(
    db,
    sql`select about_object as object, about_id::text as id from ${platformTable(db, 'mail_delivery')}
        where message_id = any(${messageIds}::text[]) and mailbox = ${mailbox} and about_id is not null order by created_at desc limit 1`,
  );
  return toThread(row);
}

/** True when the record exists and is not in the trash. */
export async function isLive(db: Knex, object: ObjectModel, id: string): Promise<boolean> {
  const found = await rows(db, sql`select 1 as one from ${platformTable(db, object.table)} where id = ${id}::uuid and deleted_at is null`);
  return found.length === 1;
}

/** Value of a reference column of one record, or null. */
export async function referencedId(db: Knex, object: ObjectModel, column: string, id: string): Promise<string | null> {
  const [row] = await rows(db, sql`select ${ident(column)}::text as id from ${platformTable(db, object.table)} where id = ${id}::uuid and deleted_at is null`);
  return typeof row?.['id'] === 'string' ? row['id'] : null;
}
