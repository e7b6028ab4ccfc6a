import type { Instant, PlainDate } from '../clock.ts';
import type { PolicyUse } from '../expression/types.ts';
import type { Model } from '../model/types.ts';

/** Who acts. Guests have no record API; links and portal users see what their sets say of their subject. */
export type Principal =
  | { readonly kind: 'user'; readonly userId: string; readonly permissionSets: readonly string[]; readonly email: string; readonly name: string }
  | {
      readonly kind: 'portal';
      readonly permissionSets: readonly string[];
      readonly subject: { readonly object: string; readonly id: string };
      readonly linkId: string;
    }
  | { readonly kind: 'system'; readonly name: string }
  | { readonly kind: 'guest' };

/** What made a change, with the decisions of policies that it follows from. */
export type Cause = (
  | { readonly kind: 'request'; readonly requestId: string }
  | {
      readonly kind: 'rule';
      readonly rule: string;
      readonly ruleVersion: number;
      readonly run: string;
      readonly chain: readonly { readonly rule: string; readonly record: string }[];
    }
  | { readonly kind: 'import'; readonly job: string }
  | { readonly kind: 'mail'; readonly mailbox: string }
  | { readonly kind: 'command'; readonly name: string }
) & { readonly decisions?: readonly PolicyUse[] };

/** Everything a use case needs to know about the call; made once at its edge. */
export interface CallContext {
  readonly principal: Principal;
  readonly model: Model;
  readonly now: Instant;
  /** `now` as a day in the plan's zone. */
  readonly today: PlainDate;
  readonly cause: Cause;
  readonly reason?: string;
  /** Duplicate rules are not asked: for merging and parting, which are about duplicates. */
  readonly allowDuplicates?: boolean;
  /** A read of the facts in force on this day; records of effective-dated objects that were not in force are not seen. */
  readonly effectiveOn?: PlainDate;
  /** Objects of which the caller sees so few rows that these are looked for first (`query/sight.ts`); it changes how fast an answer is, never the answer. */
  readonly narrow?: ReadonlySet<string>;
  readonly newId: () => string;
}
