import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType } from '../expression/types.ts';
import { fault } from '../fault.ts';
import type { Expression } from '../metadata/scalars.ts';
import type { MailboxFile } from '../metadata/types.ts';
import { MAIL_TYPE } from '../model/check-behaviour.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import type { Reader } from '../query/reader.ts';
import type { RecordEngine } from '../record/types.ts';
import { aboutOfSent, insertInbound, isLive, linkInbound, referencedId, threadByToken, threadOfInbound, type ThreadRef } from './inbound.sql.ts';
import type { ParsedMessage } from './parsed.ts';
import type { MailQueue } from './types.ts';

export interface FilingTools {
  readonly engine: RecordEngine;
  readonly reader: Pick<Reader, 'get'>;
  readonly queue: MailQueue;
  /** Answers `policy(...)` in a mailbox's values. */
  readonly policy?: EvalContext['policy'];
}

export interface ReceivedMessage {
  readonly mailbox: MailboxFile;
  /** Thread token of the address it was sent to. */
  readonly token: string | null;
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
function mailValues(context: CallContext, received: ReceivedMessage): Readonly<Record<string, unknown>> {
  const { parsed } = received;
  const orNull = (text: string | null): string | null => (text === null || text === '' ? null : text);
  return {
    from: orNull(parsed.from),
    fromName: orNull(parsed.fromName),
    to: received.mailbox.address,
    subject: orNull(parsed.subject),
    text: orNull(parsed.text),
    html: orNull(parsed.html),
    receivedAt: context.now,
    messageId: received.messageId,
    inReplyTo: parsed.inReplyTo,
    isAutoReply: parsed.isAutoReply,
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
  object: ObjectModel,
  values: Readonly<Record<string, Expression>>,
  variables: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { model } = context;
  const types: Record<string, ExprType> = 'thread' in variables ? { mail: MAIL_TYPE, thread: { kind: 'uuid' } } : { mail: MAIL_TYPE };
  const noRecords = (): never => {
    throw new AppError('rule_failed', 'Values of a mailbox read the message only, no other records.');
  };
  const evaluation: EvalContext = {
    now: context.now,
    today: context.today,
    user: null,
    subject: null,
    variables,
    one: noRecords,
    many: noRecords,
    policy:
      tools.policy ??
      (() => {
        throw new AppError('rule_failed', 'Values of a mailbox cannot ask a policy here.');
      }),
    calendars: model.calendarLookup,
  };
  return Object.fromEntries(
    Object.entries(values).map(([field, text]) => {
      const run = compileJs(model.expression(text, null, types), model.expressions);
      return [field, fit(object, field, run({}, evaluation))];
    }),
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

/** The thread this message continues: by the token in its address, else by what it answers; null when it begins one. */
async function findThread(tx: Knex.Transaction, context: CallContext, received: ReceivedMessage): Promise<ThreadRef | null> {
  const { mailbox, parsed, token } = received;
  const { thread, message } = mailbox.creates;
  const object = objectOf(context.model, thread.object);
  const answered = [...new Set([parsed.inReplyTo, ...parsed.references].filter((id) => id !== null))].slice(0, 50);
  const candidates = [
    async () => (token === null ? null : threadByToken(tx, token)),
    async () => threadOfInbound(tx, mailbox.name, answered),
    async () => {
      const about = await aboutOfSent(tx, mailbox.name, answered);
      if (about === null || about.object !== message.object) return about;
      const column = objectOf(context.model, message.object).fields.get(message.reference)?.column;
      const id = column === undefined || column === null ? null : await referencedId(tx, objectOf(context.model, message.object), column, about.id);
      return id === null ? null : { object: thread.object, id };
    },
  ];
  for (const candidate of candidates) {
    const found = await candidate();
    if (found !== null && found.object === thread.object && (await isLive(tx, object, found.id))) return found;
  }
  return null;
}

/**
 * Files one message in the caller's transaction: kept as it came, its thread found or made, its message record made, and
 * an acknowledgement queued for a new thread that a person wrote. Null when this mailbox has had the message before.
 */
export async function fileMessage(tx: Knex.Transaction, context: CallContext, tools: FilingTools, received: ReceivedMessage): Promise<Filed | null> {
  const { mailbox, parsed } = received;
  const { thread, message } = mailbox.creates;
  const id = context.newId();
  const isNew = await insertInbound(tx, {
    id,
    mailbox: mailbox.name,
    messageId: received.messageId,
    sender: parsed.from,
    subject: parsed.subject,
    receivedAt: context.now,
    raw: received.raw,
    autoReply: parsed.isAutoReply,
  });
  if (!isNew) return null;
  const mail = mailValues(context, received);
  const known = await findThread(tx, context, received);
  const threadRef =
    known ??
    (await create(tx, context, tools.engine, thread.object, evaluate(context, tools, objectOf(context.model, thread.object), thread.values, { mail })));
  fault('mail.inbound_after_thread');
  const values = evaluate(context, tools, objectOf(context.model, message.object), message.values, { mail, thread: threadRef.id });
  const messageRef = await create(tx, context, tools.engine, message.object, { ...values, [message.reference]: threadRef.id });
  await linkInbound(tx, id, messageRef, threadRef);
  const isAcknowledged = known === null && !parsed.isAutoReply && parsed.from !== '' && mailbox.acknowledge !== undefined;
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
