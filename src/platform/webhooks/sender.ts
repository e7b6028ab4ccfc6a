import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Clock, Instant } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { fault } from '../fault.ts';
import { loggedEvent } from '../jobs/events.ts';
import type { Log } from '../log.ts';
import type { Outgoing, OutgoingResult } from '../outgoing.ts';
import { isTransaction } from '../sql.ts';
import { webhookBody } from './body.ts';
import { endpointContext } from './endpoints.ts';
import { signedHeaders } from './signature.ts';
import type { ClaimedWebhook } from './types.ts';
import { captureWebhooks, claimWebhooks, finishWebhook, noteEndpoint, setEndpointActive, type WebhookOutcome } from './webhooks.sql.ts';

/** Longer than any attempt takes: a call ends after ten seconds (`outgoing.ts`), and all that were claimed begin at once. */
const LEASE_MS = 60_000;
const MINUTE = 60_000;
/** Pauses after each try, in the steps that Standard Webhooks 1.0 recommends; the last one repeats until a delivery is given up. */
const BACK_OFF_MS = [5_000, 5 * MINUTE, 30 * MINUTE, 2 * 60 * MINUTE, 5 * 60 * MINUTE, 10 * 60 * MINUTE] as const;
const GIVE_UP_MS = 72 * 60 * MINUTE;
/** How long an endpoint that does not answer is left alone at most. */
const LONGEST_PAUSE_MS = 10 * MINUTE;
/** At once, and of these to one endpoint. */
const CLAIM = { limit: 20, most: 5 } as const;
const BATCH = 500;

export interface WebhookSenderOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly outgoing: Outgoing;
  readonly isSandbox: () => Promise<boolean>;
  /** A call of the system's own at this moment. */
  readonly context: () => Promise<CallContext>;
}

export interface WebhookSender {
  /** Sends one round of what is due; answers how many it took up. Opens its own transactions. */
  sendDue(db: Knex): Promise<number>;
}

/**
 * Sends what is owed to endpoints: claim, commit; send; outcome, fenced by the attempt. A process that ends anywhere leaves a delivery that is sent again
 * after its lease, with the same `webhook-id`: at least once, as the standard promises.
 */
export function makeWebhookSender(options: WebhookSenderOptions): WebhookSender {
  const { clock, log, outgoing } = options;
  const inFuture = (ms: number): Instant => new Date(clock.nowMs() + ms).toISOString();

  /** What follows from a call's result. */
  function judge(delivery: ClaimedWebhook, result: OutgoingResult): WebhookOutcome {
    const [at, status] = [clock.now(), result.kind === 'answered' ? result.status : null];
    if (status !== null && status >= 200 && status < 300) return { state: 'delivered', at, status, error: null };
    const error = result.kind === 'answered' ? `The answer was ${String(result.status)}.` : result.error;
    const givenUpAt = Date.parse(delivery.askedAt) + GIVE_UP_MS;
    if (clock.nowMs() >= givenUpAt) return { state: 'dead', at, status, error: `Given up after 72 hours. ${error}` };
    const pause = BACK_OFF_MS[Math.min(delivery.tries, BACK_OFF_MS.length) - 1] ?? BACK_OFF_MS[0];
    return { state: 'queued', at, status, error, nextAttemptAt: new Date(Math.min(clock.nowMs() + pause, givenUpAt)).toISOString() };
  }

  async function finish(db: Knex, delivery: ClaimedWebhook, outcome: WebhookOutcome, result: OutgoingResult | null): Promise<void> {
    await inTransaction(db, async (tx) => {
      if (!(await finishWebhook(tx, delivery.id, delivery.attempt, outcome)) || result === null) return;
      if (result.kind === 'answered' && result.status === 410) {
        await setEndpointActive(tx, delivery.endpoint, false, 'The address answered 410: it is gone.');
        log.warn({ webhook: delivery.endpoint }, 'A webhook is not active any more, for its address answered 410.');
      } else if (result.kind === 'failed') {
        await noteEndpoint(tx, delivery.endpoint, inFuture(Math.min(5_000 * 2 ** Math.min(delivery.failures, 20), LONGEST_PAUSE_MS)));
      } else if (delivery.failures > 0) await noteEndpoint(tx, delivery.endpoint, null);
    });
  }

  async function deliver(db: Knex, context: CallContext, delivery: ClaimedWebhook): Promise<void> {
    const event = await loggedEvent(db, delivery.eventId);
    const end = (state: 'dead' | 'skipped', error: string): Promise<void> => finish(db, delivery, { state, at: clock.now(), status: null, error }, null);
    if (event === null) return end('dead', 'The log holds this event no more.');
    const made = webhookBody(endpointContext(context, delivery.endpoint, delivery.permissionSets), event);
    if (made === 'nothing') return end('skipped', 'Nothing that the permission sets show was changed.');
    if (made === 'hidden') return end('dead', 'The permission sets do not show every row of this object.');
    const signed = signedHeaders(delivery.secrets, delivery.webhookId, Math.floor(clock.nowMs() / 1000), made.body);
    const result = await outgoing.post(delivery.url, { ...signed, 'content-type': 'application/json', 'user-agent': 'Credenza' }, made.body);
    fault('webhook.after_send');
    await finish(db, delivery, judge(delivery, result), result);
    fault('webhook.after_finish');
  }

  return {
    async sendDue(db) {
      if (isTransaction(db)) throw new AppError('internal', 'Webhooks are sent outside of transactions only.');
      if (await options.isSandbox()) return inTransaction(db, (tx) => captureWebhooks(tx, clock.now(), BATCH));
      const batch = await inTransaction(db, (tx) => claimWebhooks(tx, clock.now(), inFuture(LEASE_MS), CLAIM));
      fault('webhook.after_claim');
      if (batch.length === 0) return 0;
      const context = await options.context();
      const ended = await Promise.allSettled(batch.map((delivery) => deliver(db, context, delivery)));
      // Every call came to its end before anybody hears of a failure: who stops the process closes the database next.
      for (const one of ended) if (one.status === 'rejected') throw one.reason;
      return batch.length;
    },
  };
}
