import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { AppError } from '../errors.ts';
import { EMPTY, holds, platformTable, rows, run, sql, type Sql } from '../sql.ts';
import type { DeliveryState, MailGroup } from './types.ts';

/** Why a mail to a suppressed address did not go, in words. */
export const SUPPRESSED = 'The address gets no such mail any more: it opted out, or mail to it came back.';

export type SuppressionReason = 'unsubscribe' | 'bounce' | 'complaint';

export interface NewDelivery {
  readonly id: string;
  readonly key: string;
  readonly messageId: string;
  readonly class: 'campaign' | 'transactional';
  readonly template: string;
  readonly recipient: string;
  readonly subject: string;
  readonly html: string;
  readonly plain: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments: readonly { readonly fileId: string; readonly name: string }[];
  readonly about: { readonly object: string; readonly id: string } | null;
  readonly group: MailGroup | null;
  readonly mailbox: string | null;
  readonly state: DeliveryState;
  /** Why it cannot be sent; null for what can. */
  readonly error: string | null;
  readonly at: string;
  readonly unsubscribeHash: Buffer | null;
}

/** A delivery as lists show it: without bodies. */
export interface DeliverySummary {
  readonly id: string;
  readonly class: 'campaign' | 'transactional';
  readonly template: string;
  readonly recipient: string;
  readonly subject: string;
  readonly about: { readonly object: string; readonly id: string } | null;
  /** The record that this mail and others belong to. */
  readonly group: MailGroup | null;
  readonly state: DeliveryState;
  readonly attempt: number;
  readonly lastError: string | null;
  readonly createdAt: string;
  readonly sentAt: string | null;
}

export interface ClaimedDelivery extends DeliverySummary {
  readonly messageId: string;
  readonly html: string;
  readonly plain: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments: readonly { readonly fileId: string; readonly name: string }[];
}

type Found = Readonly<Record<string, unknown>>;

export const DELIVERY_STATES: readonly DeliveryState[] = ['queued', 'sending', 'sent', 'captured', 'bounced', 'failed', 'unknown', 'suppressed'];

function toReference(row: Found, name: 'about' | 'group'): MailGroup | null {
  const [object, id] = [row[`${name}_object`], row[`${name}_id`]];
  return typeof object === 'string' && typeof id === 'string' ? { object, id } : null;
}

/** Boundary: one row of `mail_delivery`. */
export function toSummary(row: Found): DeliverySummary {
  const state = DELIVERY_STATES.find((entry) => entry === row['state']);
  if (state === undefined) throw new AppError('internal', `A delivery is in the unknown state ${String(row['state'])}.`);
  return {
    id: String(row['id']),
    class: row['class'] === 'campaign' ? 'campaign' : 'transactional',
    template: String(row['template']),
    recipient: String(row['recipient']),
    subject: String(row['subject']),
    about: toReference(row, 'about'),
    group: toReference(row, 'group'),
    state,
    attempt: Number(row['attempt']),
    lastError: typeof row['last_error'] === 'string' ? row['last_error'] : null,
    createdAt: toRfc3339(String(row['created_at'])),
    sentAt: typeof row['sent_at'] === 'string' ? toRfc3339(row['sent_at']) : null,
  };
}

function toClaimed(row: Found): ClaimedDelivery {
  const headers = row['headers'];
  const attachments: unknown = row['attachments'];
  return {
    ...toSummary(row),
    messageId: String(row['message_id']),
    html: String(row['html']),
    plain: String(row['plain']),
    headers: typeof headers === 'object' && headers !== null ? Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])) : {},
    attachments: Array.isArray(attachments) ? attachments.map((entry: Found) => ({ fileId: String(entry['fileId']), name: String(entry['name']) })) : [],
  };
}

export const SUMMARY = sql`id::text, class, template, recipient, subject, about_object, about_id::text, group_object, group_id::text, state, attempt, last_error, created_at, sent_at`;

/** Inserts deliveries, in their order; answers the keys of those that were not there (the others' effects happened before). */
export async function insertDeliveries(tx: Knex.Transaction, mails: readonly NewDelivery[]): Promise<ReadonlySet<string>> {
  const input = mails.map((mail) => ({
    ...mail,
    about_object: mail.about?.object ?? null,
    about_id: mail.about?.id ?? null,
    group_object: mail.group?.object ?? null,
    group_id: mail.group?.id ?? null,
    message_id: mail.messageId,
    unsubscribe_hash: mail.unsubscribeHash?.toString('hex') ?? null,
  }));
  const inserted = await rows(
    tx,
    sql`insert into ${platformTable(tx, 'mail_delivery')}
          (id, key, message_id, class, template, recipient, subject, html, plain, headers, attachments, about_object, about_id, group_object, group_id, mailbox, state, last_error, next_attempt_at, unsubscribe_hash, created_at)
        select id, key, message_id, class, template, recipient, subject, html, plain, headers, attachments, about_object, about_id, group_object, group_id, mailbox, state, error, at, decode(unsubscribe_hash, 'hex'), at
        from rows from (jsonb_to_recordset(${JSON.stringify(input)}::jsonb)
          as (id uuid, key text, message_id text, class text, template text, recipient text, subject text, html text, plain text, headers jsonb, attachments jsonb,
              about_object text, about_id uuid, group_object text, group_id uuid, mailbox text, state text, error text, at timestamptz, unsubscribe_hash text)) with ordinality order by ordinality
        on conflict (key) do nothing returning key`,
  );
  return new Set(inserted.map((row) => String(row['key'])));
}

/** Ids of the deliveries with these keys, by key. */
export async function deliveryIdsByKey(db: Knex, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = await rows(db, sql`select key, id::text from ${platformTable(db, 'mail_delivery')} where key = any(${[...keys]}::text[])`);
  return new Map(found.map((row) => [String(row['key']), String(row['id'])]));
}

/** Whether an address gets no mail of a class. Opting out concerns campaigns only; a dead address concerns all mail. */
export async function suppressionsOf(db: Knex, addresses: readonly string[]): Promise<(address: string, mailClass: string) => boolean> {
  const found = await rows(db, sql`select address, reason from ${platformTable(db, 'mail_suppression')} where address = any(${[...addresses]}::text[])`);
  const dead = new Set(found.flatMap((row) => (row['reason'] === 'bounce' ? [String(row['address'])] : [])));
  const any = new Set(found.map((row) => String(row['address'])));
  return (address, mailClass) => (mailClass === 'campaign' ? any : dead).has(address);
}

/** Suppresses an address; false when it already was for this reason. */
export async function insertSuppression(
  tx: Knex.Transaction,
  address: string,
  reason: SuppressionReason,
  at: string,
  deliveryId: string | null,
): Promise<boolean> {
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'mail_suppression')} (address, reason, at, delivery_id)
        values (${address}, ${reason}, ${at}::timestamptz, ${deliveryId}::uuid) on conflict (address, reason) do nothing`,
  );
  return inserted === 1;
}

/** True when this database may send nothing, whatever the configuration says. */
export async function isSandbox(db: Knex): Promise<boolean> {
  const [row] = await rows(db, sql`select value from ${platformTable(db, 'setting')} where key = 'sandbox'`);
  return row !== undefined && row['value'] !== false && row['value'] !== null;
}

/** Whether a process ended while it was sending. */
export async function hasAbandoned(db: Knex, now: string): Promise<boolean> {
  return holds(db, sql`exists (select from ${platformTable(db, 'mail_delivery')} where state = 'sending' and lease_until <= ${now}::timestamptz)`);
}

/**
 * Deliveries whose sender vanished between `sending` and its outcome: campaign mail becomes `unknown` and is never sent
 * again; other mail goes back to the queue with the same Message-ID. Answers them as they are now.
 */
export async function recoverAbandoned(tx: Knex.Transaction, now: string): Promise<readonly DeliverySummary[]> {
  const moved = await rows(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set
          state = case when class = 'campaign' then 'unknown' else 'queued' end, lease_until = null, next_attempt_at = ${now}::timestamptz,
          last_error = case when class = 'campaign' then 'The process ended while this mail was being sent; whether it arrived is not known.' else 'The process ended while this mail was being sent; it is sent again.' end
        where state = 'sending' and lease_until <= ${now}::timestamptz
        returning ${SUMMARY}`,
  );
  return moved.map(toSummary);
}

/** Holds when mail is due, was being sent by a process that ended, or is held for a state that may have changed. */
export function isMailDue(db: Knex, now: string): Sql {
  return sql`exists (select from ${platformTable(db, 'mail_delivery')}
    where state in ('queued', 'sending') and next_attempt_at <= ${now}::timestamptz and (lease_until is null or lease_until <= ${now}::timestamptz))
    or exists (select from ${platformTable(db, 'mail_hold')} where kind = 'state' and released_at is null)`;
}

/** Takes up to `limit` due deliveries for this process until `leaseUntil`, one attempt more each. */
export async function claimDue(tx: Knex.Transaction, now: string, leaseUntil: string, limit: number): Promise<readonly ClaimedDelivery[]> {
  const table = platformTable(tx, 'mail_delivery');
  const claimed = await rows(
    tx,
    sql`update ${table} set lease_until = ${leaseUntil}::timestamptz, attempt = attempt + 1
        where id in (
          select id from ${table} where state = 'queued' and next_attempt_at <= ${now}::timestamptz and (lease_until is null or lease_until <= ${now}::timestamptz)
          order by next_attempt_at, id limit ${limit}::integer for update skip locked)
        returning ${SUMMARY}, message_id, html, plain, headers, attachments`,
  );
  return claimed.map(toClaimed).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Holds for a delivery `d` whose address gets no mail of its class: opting out concerns campaigns only, a dead address all mail. */
function isSuppressedNow(db: Knex): Sql {
  return sql`exists (select from ${platformTable(db, 'mail_suppression')} s where s.address = lower(d.recipient) and (s.reason = 'bounce' or d.class = 'campaign'))`;
}

/**
 * Last step before the socket opens: `sending`. False when the address was suppressed since the mail was queued, `held` holds,
 * or another process owns the delivery by now.
 */
export async function markSending(db: Knex, id: string, attempt: number, leaseUntil: string, held: Sql | null = null): Promise<boolean> {
  const touched = await run(
    db,
    sql`update ${platformTable(db, 'mail_delivery')} d set lease_until = ${leaseUntil}::timestamptz, state = 'sending'
        where d.id = ${id}::uuid and d.attempt = ${attempt}::integer and d.state = 'queued' and not ${isSuppressedNow(db)}${held === null ? EMPTY : sql` and not ${held}`}`,
  );
  return touched === 1;
}

/** Ends a delivery that may not be sent any more, for its address is suppressed; null when that is not so, or it is with another process. */
export async function markSuppressed(tx: Knex.Transaction, id: string, attempt: number): Promise<DeliverySummary | null> {
  const [row] = await rows(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} d set lease_until = null, state = 'suppressed', last_error = ${SUPPRESSED}
        where d.id = ${id}::uuid and d.attempt = ${attempt}::integer and d.state = 'queued' and ${isSuppressedNow(tx)}
        returning ${SUMMARY}`,
  );
  return row === undefined ? null : toSummary(row);
}

/** Keeps a delivery that is being sent until `leaseUntil`; false when it is no longer this attempt's. */
export async function renewLease(db: Knex, id: string, attempt: number, leaseUntil: string): Promise<boolean> {
  const touched = await run(
    db,
    sql`update ${platformTable(db, 'mail_delivery')} set lease_until = ${leaseUntil}::timestamptz
        where id = ${id}::uuid and attempt = ${attempt}::integer and state = 'sending'`,
  );
  return touched === 1;
}

export interface Outcome {
  readonly state: 'sent' | 'queued' | 'bounced' | 'failed' | 'unknown';
  readonly error: string | null;
  readonly at: string;
  /** For `queued`: when to try again. */
  readonly nextAttemptAt?: string;
}

/** Writes what became of an attempt, unless the attempt is no longer ours (a paused process's late answer touches nothing). */
export async function finishAttempt(db: Knex, id: string, attempt: number, from: 'sending' | 'queued', outcome: Outcome): Promise<boolean> {
  const sentAt = outcome.state === 'sent' ? outcome.at : null;
  const touched = await run(
    db,
    sql`update ${platformTable(db, 'mail_delivery')} set state = ${outcome.state}, last_error = ${outcome.error}, lease_until = null,
          sent_at = ${sentAt}::timestamptz, next_attempt_at = ${outcome.nextAttemptAt ?? outcome.at}::timestamptz
        where id = ${id}::uuid and attempt = ${attempt}::integer and state = ${from}`,
  );
  return touched === 1;
}

/** Deliveries that a report is about: the one that its return path names, else those with these Message-IDs. */
export async function deliveriesReported(db: Knex, id: string | null, messageIds: readonly string[]): Promise<readonly DeliverySummary[]> {
  const wanted = id === null ? sql`message_id = any(${messageIds}::text[])` : sql`id = ${id}::uuid`;
  return (await rows(db, sql`select ${SUMMARY} from ${platformTable(db, 'mail_delivery')} where ${wanted} order by id`)).map(toSummary);
}

/**
 * Marks a delivery that was reported as failed; false when it is bounced already or never was on its way. One that waits to be
 * sent again is not, and the late answer of an attempt touches nothing.
 */
export async function markBounced(tx: Knex.Transaction, id: string, error: string): Promise<boolean> {
  const touched = await run(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set state = 'bounced', last_error = ${error}, lease_until = null
        where id = ${id}::uuid and (state in ('sent', 'unknown', 'captured', 'sending') or (state = 'queued' and attempt > 0))`,
  );
  return touched === 1;
}

/** A mail as the machine that received it knows it, or null. */
export async function mailAsSent(
  db: Knex,
  id: string,
): Promise<{ readonly messageId: string; readonly recipient: string; readonly headers: Readonly<Record<string, string>> } | null> {
  const [row] = await rows(
    db,
    sql`select ${SUMMARY}, message_id, html, plain, headers, attachments from ${platformTable(db, 'mail_delivery')} where id = ${id}::uuid and state in ('sent', 'captured')`,
  );
  if (row === undefined) return null;
  const { messageId, recipient, headers } = toClaimed(row);
  return { messageId, recipient, headers };
}

/** Ends due deliveries where nothing may be sent, `captured` or `suppressed`, and answers them. */
export async function captureDue(tx: Knex.Transaction, now: string, limit: number): Promise<readonly DeliverySummary[]> {
  const table = platformTable(tx, 'mail_delivery');
  const ended = await rows(
    tx,
    sql`update ${table} d set lease_until = null, attempt = d.attempt + 1, sent_at = ${now}::timestamptz,
          state = case when ${isSuppressedNow(tx)} then 'suppressed' else 'captured' end,
          last_error = case when ${isSuppressedNow(tx)} then ${SUPPRESSED}::text end
        where d.id in (select id from ${table} where state = 'queued' and next_attempt_at <= ${now}::timestamptz order by next_attempt_at, id limit ${limit}::integer for update skip locked)
        returning ${SUMMARY}`,
  );
  return ended.map(toSummary);
}

/** What a person decides about a mail whose outcome is not known: it arrived, it did not, or it is sent again. */
export type Settlement = 'sent' | 'failed' | 'queued';

/**
 * Carries out a person's decision about a mail that is `unknown`, or `failed` and to be sent again; who decided is kept with it.
 * One that is sent again goes through the queue as before, with the same Message-ID, and not to a suppressed address.
 * @returns the mail as it is now, or null when no such mail waits for a decision
 */
export async function settleDelivery(tx: Knex.Transaction, id: string, as: Settlement, by: string, now: string): Promise<DeliverySummary | null> {
  const [row] = await rows(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set state = ${as}, lease_until = null, next_attempt_at = ${now}::timestamptz,
          sent_at = case when ${as}::text = 'sent' then coalesce(sent_at, ${now}::timestamptz) end,
          last_error = concat_ws(' ', last_error, ${`Settled as ${as} by ${by} at ${now}.`}::text)
        where id = ${id}::uuid and (state = 'unknown' or (state = 'failed' and ${as}::text = 'queued'))
        returning ${SUMMARY}`,
  );
  return row === undefined ? null : toSummary(row);
}

/** When the next queued or abandoned delivery is due, or null. */
export async function nextDueAt(db: Knex): Promise<string | null> {
  const [row] = await rows(
    db,
    sql`select min(case when state = 'queued' then greatest(next_attempt_at, coalesce(lease_until, next_attempt_at)) else lease_until end) as due
        from ${platformTable(db, 'mail_delivery')} where state in ('queued', 'sending') and next_attempt_at < 'infinity'`,
  );
  return typeof row?.['due'] === 'string' ? toRfc3339(row['due']) : null;
}

/** States of mail that nobody but a person brings further. */
export const STRANDED_MAIL = ['unknown', 'failed'] as const;

/** Deliveries in one state, newest first, at most `limit`. */
export async function deliveriesInState(db: Knex, state: DeliveryState, limit = 200): Promise<readonly DeliverySummary[]> {
  const found = await rows(
    db,
    sql`select ${SUMMARY} from ${platformTable(db, 'mail_delivery')} where state = ${state} order by created_at desc, id desc limit ${limit}::integer`,
  );
  return found.map(toSummary);
}

/** Deliveries about one record, newest first. */
export async function deliveriesAbout(db: Knex, recordId: string): Promise<readonly DeliverySummary[]> {
  const found = await rows(
    db,
    sql`select ${SUMMARY} from ${platformTable(db, 'mail_delivery')} where about_id = ${recordId}::uuid order by created_at desc, id desc limit 500`,
  );
  return found.map(toSummary);
}

/** The delivery that a link's token belongs to, or null. */
export async function deliveryByUnsubscribeHash(db: Knex, hash: Buffer): Promise<DeliverySummary | null> {
  const [row] = await rows(db, sql`select ${SUMMARY} from ${platformTable(db, 'mail_delivery')} where unsubscribe_hash = ${hash}::bytea`);
  return row === undefined ? null : toSummary(row);
}

/** The text of a delivery as its reader got it, or null when there is none in that state. */
export async function deliveryText(db: Knex, id: string, state: DeliveryState): Promise<{ readonly subject: string; readonly plain: string } | null> {
  const [row] = await rows(db, sql`select subject, plain from ${platformTable(db, 'mail_delivery')} where id = ${id}::uuid and state = ${state}`);
  return row === undefined ? null : { subject: String(row['subject']), plain: String(row['plain']) };
}

/** The delivery of one id, or null. */
export async function deliveryById(db: Knex, id: string): Promise<DeliverySummary | null> {
  const [row] = await rows(db, sql`select ${SUMMARY} from ${platformTable(db, 'mail_delivery')} where id = ${id}::uuid`);
  return row === undefined ? null : toSummary(row);
}
