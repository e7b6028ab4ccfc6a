import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import type { FileStore } from '../files/types.ts';
import { uuidV7 } from '../ids.ts';
import type { Log } from '../log.ts';
import type { Model } from '../model/types.ts';
import { isTransaction } from '../sql.ts';
import { parseSender, returnPath, suppressionKey } from './address.ts';
import type { DkimKey } from './dkim.ts';
import { dueGroups, endGroup, isHeld, OVER, pausedGroups, releaseHolds, setAside, setAsideOne, standingOf } from './holds.sql.ts';
import { keepLease } from './lease.ts';
import {
  captureDue,
  claimDue,
  finishAttempt,
  hasAbandoned,
  insertSuppression,
  isSandbox,
  markSending,
  markSuppressed,
  recoverAbandoned,
  renewLease,
  type ClaimedDelivery,
  type DeliverySummary,
  type Outcome,
} from './mail.sql.ts';
import type { Pacing } from './pacing.ts';
import { makeSmtpClient, type SendResult, type SmtpClient } from './smtp.ts';
import type { DeliveryHook } from './suppression.ts';

/** How long a delivery stays with a process that says nothing; while it is being sent the lease is renewed (`lease.ts`). */
const LEASE_MS = 60_000;
/** A server may be slow at each step (30 s of silence end a connection); one that never comes to an end is left. */
const ATTEMPT_MS = 10 * 60_000;
const BATCH = 50;
const CONNECTIONS = 5;
const LEAST_ATTEMPTS = 4;
const GIVE_UP_MS = 3 * 24 * 60 * 60_000;

export interface MailSenderOptions {
  readonly smtpUrl: string | null;
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Pick<FileStore, 'stat' | 'read'>;
  /** Never opens a socket, as if the database were marked as a sandbox. */
  readonly sandbox?: boolean;
  /** Told of every mail that ended without being sent: bounced, failed, suppressed or unknown. */
  readonly onOutcome?: DeliveryHook;
  /** The Model in force, by whose states mail is held; without it only holds count that were made. */
  readonly currentModel?: () => Promise<Model>;
  /** Keeps back mail whose time has not come; without it all mail leaves as soon as it is due. */
  readonly pacing?: Pacing;
  /** Address that reports about failed deliveries come back to, with a mark for each mail; null or absent: the sender's own. */
  readonly bounceAddress?: string | null;
  /** The key that mail is signed with; null or absent: mail leaves unsigned. */
  readonly dkim?: DkimKey | null;
  /** Milliseconds; 60,000 unless told. */
  readonly leaseMs?: number;
}

export type SendCounts = Readonly<Record<'sent' | 'captured' | 'bounced' | 'failed' | 'unknown' | 'suppressed' | 'requeued', number>>;

export interface MailSender {
  /** Does all that is due now, at most `limit` deliveries (500 unless told). Opens its own transactions. */
  sendDue(db: Knex, options?: { readonly limit?: number }): Promise<SendCounts>;
  close(): void;
}

interface Attached {
  readonly filename: string;
  readonly content: Buffer;
  readonly contentType: string;
}

type Counts = { -readonly [K in keyof SendCounts]: SendCounts[K] };

/**
 * Sends what the queue holds: claim, commit; `sending`, commit; send; outcome, fenced by the attempt number
 * (quality.md, 2). Campaign mail never goes twice; other mail goes again with the same Message-ID.
 */
export function makeMailSender(options: MailSenderOptions): MailSender {
  const { clock, log, smtpUrl, leaseMs = LEASE_MS } = options;
  let client: SmtpClient | null = null;
  const warned = new Set<string>();
  const inFuture = (ms: number): string => new Date(clock.nowMs() + ms).toISOString();
  const later = (attempt: number, firstMs: number, mostMs: number): string => inFuture(Math.min(firstMs * 2 ** Math.min(attempt - 1, 20), mostMs));

  function judge(delivery: ClaimedDelivery, result: SendResult): Outcome {
    const at = clock.now();
    switch (result.kind) {
      case 'accepted':
        return { state: 'sent', error: null, at };
      case 'refused':
        return { state: 'bounced', error: result.error, at };
      case 'invalid':
        return { state: 'failed', error: result.error, at };
      case 'unsure':
        if (delivery.class === 'campaign') return { state: 'unknown', error: result.error, at };
        return { state: 'queued', error: result.error, at, nextAttemptAt: later(delivery.attempt, 60_000, 15 * 60_000) };
      case 'later':
        // One that was held for days is tried as patiently as others.
        if (delivery.attempt >= LEAST_ATTEMPTS && clock.nowMs() - new Date(delivery.createdAt).getTime() > GIVE_UP_MS)
          return { state: 'failed', error: `Given up after three days. ${result.error}`, at };
        return { state: 'queued', error: result.error, at, nextAttemptAt: later(delivery.attempt, 5 * 60_000, 4 * 60 * 60_000) };
      case 'unreachable':
        return { state: 'queued', error: result.error, at, nextAttemptAt: later(delivery.attempt, 60_000, 15 * 60_000) };
    }
  }

  /** What a campaign mail that left lacks for the one-click unsubscription that receivers of bulk mail demand (RFC 8058); once each in the life of a process. */
  function warnOfCampaign({ headers }: ClaimedDelivery): void {
    const warn = (setting: string, text: string): void => {
      if (!warned.has(setting)) log.warn({ setting }, text);
      warned.add(setting);
    };
    if ((options.dkim ?? null) === null)
      warn('DKIM_KEY_FILE', 'Campaign mail leaves without a DKIM signature: receivers show no one-click unsubscription and may refuse it. Set DKIM_KEY_FILE.');
    if (!(headers['List-Unsubscribe'] ?? '').startsWith('<https:'))
      warn('PUBLIC_URL', 'Campaign mail leaves with links that are not https: receivers show no one-click unsubscription. Set PUBLIC_URL to an https address.');
  }

  const tell = async (tx: Knex.Transaction, delivery: DeliverySummary): Promise<void> => options.onOutcome?.(tx, delivery);

  async function finish(db: Knex, delivery: ClaimedDelivery, result: SendResult, from: 'sending' | 'queued' = 'sending'): Promise<Outcome | null> {
    const outcome = judge(delivery, result);
    // Nobody is told of these: one statement, no transaction around it.
    if (outcome.state === 'sent' || outcome.state === 'queued') return (await finishAttempt(db, delivery.id, delivery.attempt, from, outcome)) ? outcome : null;
    return inTransaction(db, async (tx) => {
      if (!(await finishAttempt(tx, delivery.id, delivery.attempt, from, outcome))) return null;
      if (result.kind === 'refused' && result.isHard && (result.code === 550 || delivery.class === 'campaign'))
        await insertSuppression(tx, suppressionKey(delivery.recipient), 'bounce', outcome.at, delivery.id);
      await tell(tx, { ...delivery, state: outcome.state, lastError: outcome.error });
      return outcome;
    });
  }

  /** Whether the delivery may not be sent, for its address is suppressed by now. */
  function endSuppressed(db: Knex, { id, attempt }: ClaimedDelivery): Promise<boolean> {
    return inTransaction(db, async (tx) => {
      const ended = await markSuppressed(tx, id, attempt);
      if (ended !== null) await tell(tx, ended);
      return ended !== null;
    });
  }

  /** Has the delivery wait until it is let go, for the record that it belongs to is paused or held, or ends it, for that record's path has ended. */
  async function holdBack(db: Knex, delivery: ClaimedDelivery, model: Model | null): Promise<'failed' | null> {
    const { id, attempt, group } = delivery;
    if (group === null) return null;
    const standing = await standingOf(db, model, group);
    if (standing === 'over') return (await finish(db, delivery, { kind: 'invalid', error: OVER }, 'queued')) === null ? null : 'failed';
    await inTransaction(db, async (tx) => {
      if (await setAside(tx, standing, group, clock.now(), uuidV7(clock.nowMs()))) await setAsideOne(tx, id, attempt);
    });
    return null;
  }

  /** Lets the mail go whose record is paused no more. */
  async function resume(db: Knex, model: Model): Promise<void> {
    for (const group of await pausedGroups(db))
      if ((await standingOf(db, model, group)) !== 'paused') await inTransaction(db, (tx) => releaseHolds(tx, group, ['state'], clock.now(), 'system:mail'));
  }

  /** How many mails were due, and those of them that may leave now. */
  function claim(db: Knex, model: Model | null, size: number): Promise<readonly [number, readonly ClaimedDelivery[]]> {
    return inTransaction(db, async (tx) => {
      const claimed = await claimDue(tx, clock.now(), inFuture(leaseMs), size);
      return [claimed.length, model === null || options.pacing === undefined ? claimed : await options.pacing(tx, model, clock.nowMs(), claimed)];
    });
  }

  /** What a process that ended left behind. */
  async function recover(db: Knex, counts: Counts): Promise<void> {
    if (!(await hasAbandoned(db, clock.now()))) return;
    const recovered = await inTransaction(db, async (tx) => {
      const moved = await recoverAbandoned(tx, clock.now());
      for (const delivery of moved) if (delivery.state === 'unknown') await tell(tx, delivery);
      return moved;
    });
    const count = recovered.filter(({ state }) => state === 'unknown').length;
    counts.unknown += count;
    counts.requeued += recovered.length - count;
    if (count > 0) log.warn({ count }, 'Campaign mails were being sent when a process ended; they are listed as unknown and not sent again.');
  }

  /** Where nothing may be sent. */
  async function capture(db: Knex, limit: number, model: Model | null): Promise<readonly DeliverySummary[]> {
    const groups = await dueGroups(db, clock.now());
    return inTransaction(db, async (tx) => {
      const over: DeliverySummary[] = [];
      for (const group of groups) {
        const standing = await standingOf(tx, model, group);
        if (standing === 'over') over.push(...(await endGroup(tx, group, clock.now())));
        else await setAside(tx, standing, group, clock.now(), uuidV7(clock.nowMs()));
      }
      const ended = [...over, ...(await captureDue(tx, clock.now(), limit))];
      for (const delivery of ended) if (delivery.state !== 'captured') await tell(tx, delivery);
      return ended;
    });
  }

  /** What goes along, or in words why it cannot. Read before the delivery counts as being sent: until then it is certain that nothing left. */
  async function attachmentsOf(db: Knex, delivery: ClaimedDelivery): Promise<readonly Attached[] | string> {
    const attached: Attached[] = [];
    for (const entry of delivery.attachments) {
      const file = await options.files.stat(db, entry.fileId);
      if (file === null) return `The attachment ${entry.fileId} does not exist.`;
      try {
        attached.push({ filename: entry.name, content: Buffer.from(await options.files.read(db, entry.fileId)), contentType: file.mediaType });
      } catch (error) {
        if (isAppError(error)) return error.message;
        throw error;
      }
    }
    return attached;
  }

  async function send(smtp: SmtpClient, delivery: ClaimedDelivery, attachments: readonly Attached[], signal: AbortSignal): Promise<SendResult> {
    const { From: from = '', 'Reply-To': replyTo, ...headers } = delivery.headers;
    const { bounceAddress = null } = options;
    const back = bounceAddress === null ? parseSender(from).address : returnPath(bounceAddress, delivery.id);
    const mail = {
      messageId: delivery.messageId,
      date: new Date(delivery.createdAt),
      envelope: { from: back, to: [delivery.recipient] },
      from,
      to: delivery.recipient,
      ...(replyTo === undefined ? {} : { replyTo }),
      subject: delivery.subject,
      text: delivery.plain,
      html: delivery.html,
      headers,
      attachments: [...attachments],
    };
    return smtp.send(mail, signal);
  }

  /** Sends the mail once, unless it is suppressed by now or (null) with another process; none other begins before this ended. */
  async function attempt(
    db: Knex,
    smtp: SmtpClient,
    model: Model | null,
    delivery: ClaimedDelivery,
    attachments: readonly Attached[],
  ): Promise<SendResult | 'suppressed' | 'failed' | null> {
    const { id, attempt: number } = delivery;
    const lease = keepLease({
      leaseMs,
      mostMs: ATTEMPT_MS,
      renew: () => renewLease(db, id, number, inFuture(leaseMs)),
      onFailure: (error) => log.warn({ delivery: id, ...describeFailure(error) }, 'The lease of a mail that is being sent could not be renewed.'),
    });
    try {
      const held = delivery.group === null ? null : isHeld(db, model, delivery.group);
      if (!(await markSending(db, id, number, inFuture(leaseMs), held))) {
        if (await endSuppressed(db, delivery)) return 'suppressed';
        return holdBack(db, delivery, model);
      }
      fault('mail.after_sending');
      return await send(smtp, delivery, attachments, lease.signal);
    } finally {
      await lease.release();
    }
  }

  async function sendBatch(db: Knex, smtp: SmtpClient, model: Model | null, batch: readonly ClaimedDelivery[], counts: Counts): Promise<string | null> {
    let down: string | null = null;
    const failures: unknown[] = [];
    const rest = [...batch];
    const lane = async (): Promise<void> => {
      for (let delivery = rest.shift(); delivery !== undefined && failures.length === 0; delivery = rest.shift()) {
        if (down !== null) {
          const outcome = judge(delivery, { kind: 'unreachable', error: down });
          if (await finishAttempt(db, delivery.id, delivery.attempt, 'queued', outcome)) counts.requeued += 1;
          continue;
        }
        const attached = await attachmentsOf(db, delivery);
        if (typeof attached === 'string') {
          if ((await finish(db, delivery, { kind: 'invalid', error: attached }, 'queued')) !== null) counts.failed += 1;
          continue;
        }
        const result = await attempt(db, smtp, model, delivery, attached);
        if (result === 'suppressed' || result === 'failed') counts[result] += 1;
        if (result === 'suppressed' || result === 'failed' || result === null) continue;
        fault('mail.after_send');
        if (result.kind === 'unreachable') down = result.error;
        if (result.kind === 'accepted' && delivery.class === 'campaign') warnOfCampaign(delivery);
        const outcome = await finish(db, delivery, result);
        fault('mail.after_sent');
        if (outcome !== null) counts[outcome.state === 'queued' ? 'requeued' : outcome.state] += 1;
      }
    };
    const noted = (): Promise<void> => lane().catch((error: unknown) => void failures.push(error));
    // Every connection comes to its end before anybody hears of a failure: who stops the process closes the database next.
    await Promise.all(Array.from({ length: Math.min(CONNECTIONS, batch.length) }, noted));
    if (failures.length > 0) throw failures[0];
    return down;
  }

  return {
    async sendDue(db, { limit = 500 } = {}) {
      if (isTransaction(db)) throw new AppError('internal', 'Mail is sent outside of transactions only.');
      const counts: Counts = { sent: 0, captured: 0, bounced: 0, failed: 0, unknown: 0, suppressed: 0, requeued: 0 };
      await recover(db, counts);
      const model = options.currentModel === undefined ? null : await options.currentModel();
      if (model !== null) await resume(db, model);
      if (smtpUrl === null || options.sandbox === true || (await isSandbox(db))) {
        for (const { state } of await capture(db, limit, model)) counts[state === 'suppressed' || state === 'failed' ? state : 'captured'] += 1;
        return counts;
      }
      client ??= makeSmtpClient(smtpUrl, CONNECTIONS, options.dkim);
      for (let left = limit; left > 0; left -= BATCH) {
        const size = Math.min(BATCH, left);
        const [claimed, batch] = await claim(db, model, size);
        fault('mail.after_claim');
        if (claimed === 0) break;
        // What was given a later moment counts as done: more may be due behind it.
        counts.requeued += claimed - batch.length;
        const down = await sendBatch(db, client, model, batch, counts);
        if (down !== null) {
          log.warn(
            { host: client.host, waiting: counts.requeued },
            `The mail server ${client.host} cannot be used (${down.replace(/\S+@\S+/g, '(address)')}). Mail stays queued and is tried again.`,
          );
          break;
        }
        if (claimed < size) break;
      }
      return counts;
    },
    close() {
      client?.close();
      client = null;
    },
  };
}
