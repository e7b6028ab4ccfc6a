import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { suppressionKey } from './address.ts';
import { isDeadAddress, type DeliveryReport, type RecipientStatus } from './delivery-status.ts';
import { deliveriesReported, insertSuppression, markBounced, type DeliverySummary } from './mail.sql.ts';
import type { DeliveryHook } from './suppression.ts';

/**
 * Takes a report about a mail of ours at its word: a mail that failed for good is `bounced`, its record is told, and an
 * address that is dead gets no mail any more. Each delivery has one recipient and its Message-ID and return path are known
 * only to those it passed through, so that nobody can report for another. A report that comes again changes nothing; one
 * about a delay, or about a mail that is not ours, neither. Answers the deliveries that the report is about.
 */
export async function takeReport(
  tx: Knex.Transaction,
  context: CallContext,
  report: DeliveryReport,
  /** The delivery that the return path names, if it was one of ours. */
  deliveryId: string | null,
  onBounce: DeliveryHook | undefined,
): Promise<readonly DeliverySummary[]> {
  const deliveries = await deliveriesReported(tx, deliveryId, report.messageIds);
  const failed = report.recipients.find((recipient) => recipient.action === 'failed');
  if (failed === undefined) return deliveries;
  for (const delivery of deliveries) {
    const error = wordsOf(failed);
    if (!(await markBounced(tx, delivery.id, error))) continue;
    if (isDeadAddress(failed.status)) await insertSuppression(tx, suppressionKey(delivery.recipient), 'bounce', context.now, delivery.id);
    await onBounce?.(tx, { ...delivery, state: 'bounced', lastError: error });
  }
  return deliveries;
}

function wordsOf({ status, diagnostic }: RecipientStatus): string {
  return [status, diagnostic].filter((part) => part !== '').join(' ') || 'failed';
}
