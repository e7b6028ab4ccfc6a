import type { Instant } from '../clock.ts';
/** Cause chain as stored; typed in access/types.ts, opaque here because jobs imports leaves only. */
export type EventCause = Readonly<Record<string, unknown>>;

/** A row of `event`: written in the record's transaction, the only start of rules, mail and webhooks. */
export interface EventRow {
  readonly id: string;
  readonly object: string;
  readonly recordId: string | null;
  /** For a chunk event: the ids it stands for. */
  readonly recordIds: readonly string[] | null;
  readonly kind: 'created' | 'updated' | 'deleted' | 'restored' | 'mail';
  readonly at: Instant;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly changed: readonly string[];
  readonly transition: string | null;
  readonly cause: EventCause;
  readonly actor: string;
  readonly depth: number;
}
