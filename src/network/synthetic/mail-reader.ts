import { AppError } from '../../platform/errors.ts';
import { findPortalLink, linkPrincipal, usePortalLink } from '../../platform/identity/portal-links.ts';
import { deliveriesAbout, deliveryText } from '../../platform/mail/mail.sql.ts';
import type { DemoHands } from './demo-host.ts';

const PERSONAL = /\/portal\/start\/([\w-]+)/;
const UNSUBSCRIBE = /\/portal\/unsubscribe\/([\w-]+)/;

/**
 * Hands of people who know no other links than those in the mail that they got: the newest about a record, or the one before
 * where that was withdrawn (mail of one moment has no order).
 */
export function readingMail(hands: DemoHands): DemoHands {
  const { host } = hands;
  return {
    ...hands,
    async link(object, recordId, form) {
      for (const secret of await foundInMail(hands, recordId, PERSONAL)) {
        const found = await findPortalLink(host.db, secret);
        if (found === null || found.revokedAt !== null) continue;
        const link = await usePortalLink(host.db, found, host.clock.now());
        if (link.purpose !== `form:${form}`) throw new AppError('internal', `The mail about this ${object} leads to ${link.purpose} and not to form:${form}.`);
        return { secret, context: () => host.contextFor(linkPrincipal(link), { kind: 'command', name: 'simulate' }) };
      }
      throw new AppError('internal', `No mail about this ${object} has a link that was not withdrawn.`);
    },
  };
}

/** Clicks the link at the end of a campaign mail. */
export async function unsubscribe(hands: DemoHands, recordId: string): Promise<void> {
  const [token] = await foundInMail(hands, recordId, UNSUBSCRIBE);
  if (token === undefined) throw new AppError('internal', `No mail about the record ${recordId} can be unsubscribed from.`);
  await hands.host.unsubscribe.unsubscribe(hands.host.db, token);
  await hands.settle();
}

/** What a pattern finds in the mails about a record that were taken for sent, newest mail first. */
async function foundInMail({ host }: DemoHands, recordId: string, wanted: RegExp): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { id, state } of await deliveriesAbout(host.db, recordId)) {
    const word = state === 'captured' ? wanted.exec((await deliveryText(host.db, id, state))?.plain ?? '')?.[1] : undefined;
    if (word !== undefined) found.push(word);
  }
  return found;
}
