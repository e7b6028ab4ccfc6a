import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import { fault } from '../fault.ts';
import type { FileStore } from '../files/types.ts';
import type { Expression } from '../metadata/scalars.ts';
import type { MailboxFile } from '../metadata/types.ts';
import { MAILBOX_VARIABLES } from '../model/check-behaviour.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import type { Reader } from '../query/reader.ts';
import type { PolicyLookup } from '../record/related.sql.ts';
import type { RecordEngine } from '../record/types.ts';
import {
  aboutOfSent,
  BOUNCES,
  countAcknowledged,
  insertInbound,
  isFiledWithoutHash,
  isLive,
  linkInbound,
  linkReport,
  referencedId,
  threadByToken,
  threadOfInbound,
  threadsOfSame,
  type ThreadRef,
} from './inbound.sql.ts';
import { suppressionKey } from './address.ts';
import { keepFiles, noteOf, type KeptFile } from './attachments.ts';
import { takeReport } from './bounces.ts';
import type { DeliverySummary } from './mail.sql.ts';
import { mailboxCount, mailboxValue } from './mailbox-values.ts';
import type { ParsedMessage } from './parsed.ts';
import type { DeliveryHook } from './suppression.ts';
import type { MailQueue } from './types.ts';

export interface FilingTools {
  readonly engine: RecordEngine;
  readonly reader: Pick<Reader, 'get'>;
  readonly queue: MailQueue;
  /** Keeps the files that come with messages. */
  readonly files: FileStore;
  /** Told of mails that bounced. */
  readonly onBounce?: DeliveryHook;
  /** Told of mails that their readers complained about. */
  readonly onComplaint?: DeliveryHook;
  /** Address that reports about failed deliveries come back to. */
  readonly bounceAddress?: string;
  /** Answers `policy(...)` in a mailbox's values. */
  readonly policies: PolicyLookup;
}

export interface ReceivedMessage {
  readonly mailbox: MailboxFile;
  /** Thread token of the address it was sent to. */
  readonly token: string | null;
  readonly messageId: string;
  readonly parsed: ParsedMessage;
  readonly raw: Buffer;
  /** When it came, if that was before now. */
  readonly receivedAt?: Instant;
}

/** A message to the address that bounces come back to. */
export interface ReturnedMessage {
  /** The delivery that the return path names. */
  readonly deliveryId: string | null;
  readonly messageId: string;
  readonly parsed: ParsedMessage;
  readonly raw: Buffer;
}

export interface Filed {
  readonly thread: ThreadRef;
  readonly message: ThreadRef;
  readonly isNewThread: boolean;
  readonly isAcknowledged: boolean;
}

function objectOf(model: Model, name: string): ObjectModel {
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('metadata_invalid', `A mailbox names the object "${name}", which does not exist.`);
  return object;
}

/** The variable `mail` of a mailbox's expressions; empty texts are null. */
function mailValues(context: CallContext, received: ReceivedMessage, files: readonly KeptFile[]): Readonly<Record<string, unknown>> {
  const { parsed } = received;
  const orNull = (text: string | null): string | null => (text === null || text === '' ? null : text);
  return {
    from: orNull(parsed.from),
    fromName: orNull(parsed.fromName),
    to: received.mailbox.address,
    subject: orNull(parsed.subject),
    text: orNull(parsed.text),
    html: orNull(parsed.html),
    receivedAt: received.receivedAt ?? context.now,
    messageId: received.messageId,
    inReplyTo: parsed.inReplyTo,
    isAutoReply: parsed.isAutoReply,
    attachmentNote: noteOf(files),
  };
}

/** A stranger's text is cut to what the field holds, rather than refused: the message itself is kept whole besides. */
function fit(object: ObjectModel, name: string, value: unknown): unknown {
  const limit = object.fields.get(name)?.maxLength ?? null;
  if (typeof value !== 'string' || limit === null) return value;
  const points = [...value];
  return points.length <= limit ? value : `${points.slice(0, limit - 1).join('')}…`;
}

function evaluate(
  context: CallContext,
  tools: FilingTools,
  part: keyof typeof MAILBOX_VARIABLES,
  { object: objectName, values }: { readonly object: string; readonly values: Readonly<Record<string, Expression>> },
  variables: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const object = objectOf(context.model, objectName);
  const types = MAILBOX_VARIABLES[part];
  return Object.fromEntries(
    Object.entries(values).map(([field, text]) => [field, fit(object, field, mailboxValue(context, tools.policies, text, types, variables))]),
  );
}

async function create(
  tx: Knex.Transaction,
  context: CallContext,
  engine: RecordEngine,
  object: string,
  values: Readonly<Record<string, unknown>>,
): Promise<ThreadRef> {
  const [outcome] = await engine.write(tx, context, object, [{ kind: 'create', values }], { asSystem: true });
  if (outcome === undefined || !outcome.ok) throw new AppError('internal', `The record of "${object}" for a message was not written.`);
  return { object, id: outcome.id };
}

/** A record for each file, linked to the message; what was refused says why. */
async function createAttachments(
  tx: Knex.Transaction,
  context: CallContext,
  tools: FilingTools,
  attachment: NonNullable<MailboxFile['creates']['attachment']>,
  files: readonly KeptFile[],
  variables: Readonly<Record<string, unknown>>,
  message: ThreadRef,
): Promise<void> {
  for (const { fileId, ...file } of files) {
    const values = evaluate(context, tools, 'attachment', attachment, { ...variables, attachment: file });
    await create(tx, context, tools.engine, attachment.object, { ...values, [attachment.reference]: message.id, [attachment.file]: fileId });
  }
}

/** The thread this message continues: by the token in its address, by what it answers, or by the mail of ours that it reports on; null when it begins one. */
async function findThread(
  tx: Knex.Transaction,
  context: CallContext,
  received: ReceivedMessage,
  reported: readonly DeliverySummary[],
): Promise<ThreadRef | null> {
  const { mailbox, parsed, token } = received;
  const { thread, message } = mailbox.creates;
  const object = objectOf(context.model, thread.object);
  const answered = [...new Set([parsed.inReplyTo, ...parsed.references].filter((id) => id !== null))].slice(0, 50);
  const threadOfAbout = async (about: ThreadRef | null): Promise<ThreadRef | null> => {
    if (about === null || about.object !== message.object) return about;
    const column = objectOf(context.model, message.object).fields.get(message.reference)?.column;
    const id = column === undefined || column === null ? null : await referencedId(tx, objectOf(context.model, message.object), column, about.id);
    return id === null ? null : { object: thread.object, id };
  };
  const candidates = [
    async () => (token === null ? null : threadByToken(tx, token)),
    async () => threadOfInbound(tx, mailbox.name, answered),
    async () => threadOfAbout(await aboutOfSent(tx, mailbox.name, answered)),
    ...reported.map((delivery) => () => threadOfAbout(delivery.about)),
  ];
  for (const candidate of candidates) {
    const found = await candidate();
    if (found !== null && found.object === thread.object && (await isLive(tx, object, found.id))) return found;
  }
  return null;
}

function inboundOf(
  context: CallContext,
  { parsed, messageId, raw, receivedAt = context.now }: Pick<ReceivedMessage, 'parsed' | 'messageId' | 'raw' | 'receivedAt'>,
  mailbox: string,
  id: string,
) {
  const { from: sender, subject, isAutoReply: autoReply, contentHash } = parsed;
  return { id, mailbox, messageId, sender, subject, receivedAt, raw, autoReply, contentHash };
}

/**
 * Keeps a message to the address of bounces, and takes it at its word when it is a report about a mail of ours. It makes no
 * record: what it says stands with the delivery. Answers whether it was about one of ours.
 */
export async function fileReturned(tx: Knex.Transaction, context: CallContext, tools: FilingTools, received: ReturnedMessage): Promise<boolean> {
  const id = context.newId();
  const { report } = received.parsed;
  if (!(await insertInbound(tx, { ...inboundOf(context, received, BOUNCES, id), copy: 0 }))) return true;
  const reported = report === null ? [] : await takeReport(tx, context, report, received.deliveryId, tools);
  for (const delivery of reported.slice(0, 1)) await linkReport(tx, id, delivery.id);
  return reported.length > 0;
}

/**
 * Keeps the message as it came, and answers the thread it belongs to (null: it begins one). Null when it is filed already: it
 * came before by this mailbox with this Message-ID and these words, and was not sent to another thread as well.
 */
async function keep(
  tx: Knex.Transaction,
  context: CallContext,
  received: ReceivedMessage,
  id: string,
  reported: readonly DeliverySummary[],
): Promise<{ readonly thread: ThreadRef | null } | null> {
  const { token } = received;
  const mail = inboundOf(context, received, received.mailbox.name, id);
  if (await isFiledWithoutHash(tx, mail)) return null;
  if (await insertInbound(tx, { ...mail, copy: 0 })) return { thread: await findThread(tx, context, received, reported) };
  for (;;) {
    const threads = await threadsOfSame(tx, mail);
    const thread = token === null ? null : await findThread(tx, context, received, reported);
    if (thread === null || threads.includes(thread.id)) return null;
    if (await insertInbound(tx, { ...mail, copy: threads.length })) return { thread };
  }
}

/** Whether the sender of a new thread is told that it came: not a machine, and not more often on a day than the mailbox says. Counts it. */
async function mayAcknowledge(tx: Knex.Transaction, context: CallContext, tools: FilingTools, received: ReceivedMessage): Promise<boolean> {
  const { mailbox, parsed } = received;
  if (mailbox.acknowledge === undefined || parsed.isAutoReply || parsed.from === '') return false;
  const { atMost } = mailbox.acknowledge;
  const most = atMost === undefined ? null : mailboxCount(context, tools.policies, atMost, {}, {});
  return most === null || countAcknowledged(tx, suppressionKey(parsed.from), context.today, most);
}

/**
 * Files one message in the caller's transaction: kept as it came, its thread found or made, its message record made, and
 * an acknowledgement queued for a new thread that a person wrote. Null when this mailbox has had the message before.
 */
export async function fileMessage(tx: Knex.Transaction, context: CallContext, tools: FilingTools, received: ReceivedMessage): Promise<Filed | null> {
  const { mailbox, parsed } = received;
  const { thread, message, attachment } = mailbox.creates;
  const id = context.newId();
  const reported = parsed.report === null ? [] : await takeReport(tx, context, parsed.report, null, tools);
  const place = await keep(tx, context, received, id, reported);
  if (place === null) return null;
  for (const delivery of reported.slice(0, 1)) await linkReport(tx, id, delivery.id);
  // A mailbox that makes no records of files leaves them in the message as it came.
  const files = attachment === undefined ? [] : await keepFiles(tx, context, tools.files, parsed);
  const known = place.thread;
  const isAcknowledged = known === null && (await mayAcknowledge(tx, context, tools, received));
  const mail = { ...mailValues(context, received, files), isAcknowledged };
  const threadRef = known ?? (await create(tx, context, tools.engine, thread.object, evaluate(context, tools, 'thread', thread, { mail })));
  fault('mail.inbound_after_thread');
  const values = evaluate(context, tools, 'message', message, { mail, thread: threadRef.id });
  const messageRef = await create(tx, context, tools.engine, message.object, { ...values, [message.reference]: threadRef.id });
  await linkInbound(tx, id, messageRef, threadRef);
  if (attachment !== undefined) await createAttachments(tx, context, tools, attachment, files, { mail, thread: threadRef.id }, messageRef);
  if (isAcknowledged && mailbox.acknowledge !== undefined) {
    const record = await tools.reader.get(tx, context, threadRef.object, threadRef.id);
    await tools.queue.queue(tx, context, {
      template: mailbox.acknowledge.template,
      to: parsed.from,
      class: 'transactional',
      key: `ack:${threadRef.id}`,
      data: { ...record, record, mail },
      about: threadRef,
      mailbox: mailbox.name,
      inReplyTo: received.messageId,
      automatic: 'replied',
    });
  }
  return { thread: threadRef, message: messageRef, isNewThread: known === null, isAcknowledged };
}
