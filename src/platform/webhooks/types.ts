import type { Instant } from '../clock.ts';

/** Kinds of events that may be sent. */
export const WEBHOOK_KINDS = ['created', 'updated', 'deleted', 'restored'] as const;
export type WebhookKind = (typeof WEBHOOK_KINDS)[number];

/** `skipped`: nothing that the endpoint may see changed. `captured`: ended in a sandbox. `dead`: given up, until somebody sends it again. */
export const DELIVERY_STATES = ['queued', 'delivered', 'dead', 'skipped', 'captured'] as const;
export type WebhookDeliveryState = (typeof DELIVERY_STATES)[number];

/** An address that events of some objects are sent to. */
export interface WebhookEndpoint {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly objects: readonly string[];
  readonly kinds: readonly WebhookKind[];
  /** What is sent shows what these sets show, of objects of which they show every row. */
  readonly permissionSets: readonly string[];
  readonly active: boolean;
  /** Why it is not active, when the product decided so. */
  readonly inactiveReason: string | null;
  /** Nothing is sent before, for the address did not answer. */
  readonly pausedUntil: Instant | null;
  readonly createdAt: Instant;
}

export interface WebhookDelivery {
  readonly id: string;
  readonly endpoint: string;
  /** The `webhook-id` that it carries, each time. */
  readonly webhookId: string;
  /** Its place among all events: what a replay begins from. */
  readonly seq: number;
  readonly object: string;
  readonly recordId: string | null;
  readonly kind: string;
  readonly state: WebhookDeliveryState;
  readonly tries: number;
  readonly nextAttemptAt: Instant | null;
  /** Of the last answer. */
  readonly status: number | null;
  readonly error: string | null;
  readonly createdAt: Instant;
  readonly finishedAt: Instant | null;
}

/** A delivery that this process sends now, with what it needs of its endpoint. */
export interface ClaimedWebhook extends WebhookDelivery {
  readonly attempt: number;
  readonly eventId: string;
  readonly askedAt: Instant;
  readonly url: string;
  readonly permissionSets: readonly string[];
  readonly failures: number;
  /** Keys that sign: the present one, and the one before as long as it is honoured. */
  readonly secrets: readonly Buffer[];
}

/** The identifier that an event has for all who receive it. */
export function webhookIdOf(eventId: string): string {
  return `msg_${eventId.replaceAll('-', '')}`;
}
