import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { suppressionKey } from './address.ts';
import { deliveryByUnsubscribeHash, insertSuppression, type DeliverySummary } from './mail.sql.ts';
import { unsubscribeHash } from './queue.ts';

/** Told within the same transaction, so that the record a mail was about can say so too. `context`: the call in which it happened, if it was one. */
export type DeliveryHook = (tx: Knex.Transaction, delivery: DeliverySummary, context?: CallContext) => Promise<void>;

export interface Unsubscribe {
  /** Whom a link belongs to, for the page that asks; changes nothing (a GET must not unsubscribe). Throws not_found. */
  peek(db: Knex, token: string): Promise<{ readonly recipient: string }>;
  /**
   * One click: the address gets no campaign mail any more. Done twice, it is done once.
   * @throws AppError not_found
   */
  unsubscribe(db: Knex, token: string): Promise<{ readonly recipient: string; readonly about: DeliverySummary['about'] }>;
}

/** One-click unsubscribe (RFC 8058). */
export function makeUnsubscribe(options: { readonly clock: Clock; readonly onUnsubscribe?: DeliveryHook }): Unsubscribe {
  const find = async (db: Knex, token: string): Promise<DeliverySummary> => {
    const delivery = await deliveryByUnsubscribeHash(db, unsubscribeHash(token));
    if (delivery === null) throw new AppError('not_found', 'This unsubscribe link is not known.');
    return delivery;
  };
  return {
    peek: async (db, token) => ({ recipient: (await find(db, token)).recipient }),
    unsubscribe: (db, token) =>
      inTransaction(db, async (tx) => {
        const delivery = await find(tx, token);
        const isNew = await insertSuppression(tx, suppressionKey(delivery.recipient), 'unsubscribe', options.clock.now(), delivery.id);
        if (isNew && options.onUnsubscribe !== undefined) await options.onUnsubscribe(tx, delivery);
        return { recipient: delivery.recipient, about: delivery.about };
      }),
  };
}
