import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { splitReturnPath, suppressionKey } from './address.ts';
import { isDeadAddress, type Complaint, type DeliveryReport, type RecipientStatus } from './delivery-status.ts';
import { markComplained } from './holds.sql.ts';
import { deliveriesReported, insertSuppression, markBounced, type DeliverySummary } from './mail.sql.ts';
import type { DeliveryHook } from './suppression.ts';

export interface ReportTools {
  readonly onBounce?: DeliveryHook;
  readonly onComplaint?: DeliveryHook;
  readonly bounceAddress?: string;
}

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
  tools: ReportTools,
): Promise<readonly DeliverySummary[]> {
  const { complaint } = report;
  const deliveries = await deliveriesReported(tx, deliveryId ?? namedBy(complaint, tools.bounceAddress), report.messageIds);
  if (complaint !== null) await takeComplaint(tx, context, complaint, deliveries, tools.onComplaint);
  const failed = report.recipients.find((recipient) => recipient.action === 'failed');
  if (failed === undefined) return deliveries;
  for (const delivery of deliveries) {
    const error = wordsOf(failed);
    if (!(await markBounced(tx, delivery.id, error))) continue;
    if (isDeadAddress(failed.status)) await insertSuppression(tx, suppressionKey(delivery.recipient), 'bounce', context.now, delivery.id);
    await tools.onBounce?.(tx, { ...delivery, state: 'bounced', lastError: error });
  }
  return deliveries;
}

/**
 * Who complained gets no campaign mail any more, as if he had opted out (rules.md, campaign mail); the mail keeps its state and says
 * when. A complaint that comes again changes nothing.
 */
async function takeComplaint(
  tx: Knex.Transaction,
  context: CallContext,
  { kind }: Complaint,
  deliveries: readonly DeliverySummary[],
  onComplaint: DeliveryHook | undefined,
): Promise<void> {
  for (const delivery of deliveries) {
    if (!(await markComplained(tx, delivery.id, context.now))) continue;
    await insertSuppression(tx, suppressionKey(delivery.recipient), 'complaint', context.now, delivery.id);
    await onComplaint?.(tx, { ...delivery, lastError: `Its reader complained (${kind}).` });
  }
}

/** The delivery whose return path a complaint quotes, or null. */
function namedBy(complaint: Complaint | null, bounceAddress: string | undefined): string | null {
  if (complaint === null || bounceAddress === undefined) return null;
  return splitReturnPath(bounceAddress, complaint.returnPath)?.id ?? null;
}

function wordsOf({ status, diagnostic }: RecipientStatus): string {
  return [status, diagnostic].filter((part) => part !== '').join(' ') || 'failed';
}
