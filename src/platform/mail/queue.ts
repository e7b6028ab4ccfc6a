import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError, isAppError } from '../errors.ts';
import { newSecret, type NewId, type RandomBytes } from '../ids.ts';
import type { MailboxFile } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import { oneLine, parseAddress, parseSender, suppressionKey, threadAddress } from './address.ts';
import { referencedId, threadToken, type ThreadRef } from './inbound.sql.ts';
import { deliveryIdsByKey, insertDeliveries, SUPPRESSED, suppressionsOf, type NewDelivery } from './mail.sql.ts';
import type { DeliveryHook } from './suppression.ts';
import { makeMailTemplates, type LayoutData, type MailTemplates } from './templates.ts';
import type { MailOfCall, MailQueue, QueuedMail, QueueMail } from './types.ts';

export interface MailConfig {
  /** `Name <address>` or an address. */
  readonly from: string;
  /** Domain of Message-IDs. */
  readonly domain: string;
  /** Where links in mails point to; asked each time, for it is known only once the server listens. */
  readonly publicUrl: () => string;
  readonly planName: string;
  readonly planAddress: string;
  readonly planPhone: string;
}

export interface MailQueueOptions {
  readonly newId: NewId;
  readonly config: MailConfig;
  /** Randomness of tokens; seeded in simulations. */
  readonly random?: RandomBytes;
  readonly templates?: MailTemplates;
  /** Told of a mail that will not be sent: its address is none (`failed`, never tried), or suppressed. */
  readonly onOutcome?: DeliveryHook;
}

const LONGEST_RECIPIENT = 320;

/** The address to write to, or what stands in its place, on one line, with the reason why nobody can be written at it. */
function readRecipient(mail: QueueMail): { readonly recipient: string; readonly failure: string | null } {
  try {
    return { recipient: parseAddress(mail.to), failure: null };
  } catch (error) {
    if (mail.badAddress !== 'record' || !isAppError(error, 'validation_failed')) throw error;
    return {
      recipient: mail.to
        .replace(/[\s\0]+/g, ' ')
        .trim()
        .slice(0, LONGEST_RECIPIENT),
      failure: error.message,
    };
  }
}

/** The hash under which an unsubscribe token is kept. */
export function unsubscribeHash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function findMailbox(model: Model, name: string): MailboxFile {
  const mailbox = model.mailboxes.get(name);
  if (mailbox === undefined) throw new AppError('rule_failed', `There is no mailbox "${name}".`);
  return mailbox;
}

/** The thread that mail about this record belongs to: the record itself, or the one its message record points to. */
async function threadOf(tx: Knex.Transaction, model: Model, mailbox: MailboxFile, about: ThreadRef): Promise<ThreadRef | null> {
  const { thread, message } = mailbox.creates;
  if (about.object === thread.object) return about;
  const object = model.objects.get(about.object);
  const column = object?.fields.get(message.reference)?.column;
  if (about.object !== message.object || object === undefined || column === undefined || column === null) return null;
  const id = await referencedId(tx, object, column, about.id);
  return id === null ? null : { object: thread.object, id };
}

/** Makes the queue: mail is rendered and stored with the change that causes it, and sent later by `sender.ts`. */
export function makeMailQueue(options: MailQueueOptions): MailQueue {
  const { config, newId } = options;
  const templates = options.templates ?? makeMailTemplates();
  const sender = parseSender(config.from);
  const token = (bytes: number): string => Buffer.from(newSecret(options.random), 'base64url').subarray(0, bytes).toString('hex');

  async function replyHeaders(tx: Knex.Transaction, context: CallContext, mail: QueueMail): Promise<Record<string, string>> {
    if (mail.mailbox === undefined) return {};
    const mailbox = findMailbox(context.model, mail.mailbox);
    const thread = mail.about === null ? null : await threadOf(tx, context.model, mailbox, mail.about);
    if (thread === null) return { 'Reply-To': mailbox.address };
    return { 'Reply-To': threadAddress(mailbox.address, await threadToken(tx, thread, token(16))) };
  }

  /** The mail as it will be sent, unless its address is suppressed. */
  async function makeDelivery(tx: Knex.Transaction, { context, mail }: MailOfCall): Promise<NewDelivery> {
    const { recipient, failure } = readRecipient(mail);
    const secret = mail.class === 'campaign' ? newSecret(options.random) : null;
    const publicUrl = config.publicUrl().replace(/\/+$/, '');
    const plan = { name: config.planName, address: config.planAddress, phone: config.planPhone, url: publicUrl };
    const unsubscribeUrl = secret === null ? null : `${publicUrl}/portal/unsubscribe/${secret}`;
    const layout: LayoutData = { plan, unsubscribeUrl };
    const rendered = templates.render(context.model, mail.template, mail.data, layout);
    const id = newId();
    const headers: Record<string, string> = {
      From: sender.name === '' ? sender.address : `"${sender.name}" <${sender.address}>`,
      ...(await replyHeaders(tx, context, mail)),
    };
    if (mail.automatic !== 'no') headers['Auto-Submitted'] = mail.automatic === 'replied' ? 'auto-replied' : 'auto-generated';
    if (mail.inReplyTo !== undefined) {
      headers['In-Reply-To'] = oneLine(mail.inReplyTo, 'In-Reply-To');
      headers['References'] = headers['In-Reply-To'];
    }
    if (unsubscribeUrl !== null) {
      headers['List-Unsubscribe'] = `<${unsubscribeUrl}>`;
      headers['List-Unsubscribe-Post'] = 'List-Unsubscribe=One-Click';
    }
    return {
      id,
      key: mail.key,
      messageId: `<${id}@${config.domain}>`,
      class: mail.class,
      template: mail.template,
      recipient,
      subject: rendered.subject,
      html: rendered.html,
      plain: rendered.text,
      headers,
      attachments: mail.attachments ?? [],
      about: mail.about,
      group: mail.group ?? null,
      mailbox: mail.mailbox ?? null,
      state: failure === null ? 'queued' : 'failed',
      error: failure,
      at: context.now,
      unsubscribeHash: secret === null ? null : unsubscribeHash(secret),
    };
  }

  async function answerOf(tx: Knex.Transaction, context: CallContext, made: NewDelivery): Promise<QueuedMail> {
    const { id, class: mailClass, template, recipient, subject, about, group, state, error } = made;
    if (state === 'queued') return { deliveryId: id, queued: true };
    await options.onOutcome?.(
      tx,
      { id, class: mailClass, template, recipient, subject, about, group, state, attempt: 0, lastError: error, createdAt: context.now, sentAt: null },
      context,
    );
    return state === 'failed' && error !== null ? { deliveryId: id, queued: false, failure: error } : { deliveryId: id, queued: false, suppressed: true };
  }

  async function queueAll(tx: Knex.Transaction, asked: readonly MailOfCall[]): Promise<readonly QueuedMail[]> {
    const known = await deliveryIdsByKey(
      tx,
      asked.map(({ mail }) => mail.key),
    );
    const made = new Map<string, NewDelivery>();
    for (const one of asked) if (!known.has(one.mail.key) && !made.has(one.mail.key)) made.set(one.mail.key, await makeDelivery(tx, one));
    const isSuppressed =
      made.size === 0
        ? () => false
        : await suppressionsOf(
            tx,
            [...made.values()].flatMap(({ recipient, error }) => (error === null ? [suppressionKey(recipient)] : [])),
          );
    const deliveries = [...made.values()].map((mail): NewDelivery =>
      mail.error === null && isSuppressed(suppressionKey(mail.recipient), mail.class) ? { ...mail, state: 'suppressed', error: SUPPRESSED } : mail,
    );
    const inserted = deliveries.length === 0 ? new Set<string>() : await insertDeliveries(tx, deliveries);
    const ofKey = new Map(deliveries.map((delivery) => [delivery.key, delivery]));
    // A key that came between: somebody else queued it in this moment.
    const lost = deliveries.filter(({ key }) => !inserted.has(key)).map(({ key }) => key);
    const others = lost.length === 0 ? known : new Map([...known, ...(await deliveryIdsByKey(tx, lost))]);
    const answers: QueuedMail[] = [];
    const told = new Set<string>();
    for (const { context, mail } of asked) {
      const delivery = inserted.has(mail.key) ? ofKey.get(mail.key) : undefined;
      const deliveryId = delivery?.id ?? others.get(mail.key);
      if (deliveryId === undefined) throw new AppError('internal', `The delivery with key ${mail.key} could be neither inserted nor found.`);
      const isFirst = delivery !== undefined && !told.has(mail.key);
      told.add(mail.key);
      answers.push(isFirst ? await answerOf(tx, context, delivery) : { deliveryId, queued: false });
    }
    return answers;
  }

  return {
    queueAll,
    async queue(tx, context, mail) {
      const [answer] = await queueAll(tx, [{ context, mail }]);
      if (answer === undefined) throw new AppError('internal', 'The queue lost a mail.');
      return answer;
    },
  };
}
