import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { settleDelivery, type Settlement } from './mail.sql.ts';
import type { DeliveryHook } from './suppression.ts';

/**
 * Carries out a person's decision about mail of which nobody knows whether it arrived, or that failed; the record that it is about is told.
 * Opens its own transaction. False when no such mail waits for a decision.
 */
export type SettleMail = (db: Knex, id: string, as: Settlement, by: string) => Promise<boolean>;

/** Makes the decision that administrators take (`/api/v1/mail/deliveries`, `credenza mail settle`). */
export function makeSettleMail(options: { readonly clock: Clock; readonly onOutcome: DeliveryHook }): SettleMail {
  return (db, id, as, by) =>
    inTransaction(db, async (tx) => {
      const settled = await settleDelivery(tx, id, as, by, options.clock.now());
      if (settled !== null) await options.onOutcome(tx, settled);
      return settled !== null;
    });
}
