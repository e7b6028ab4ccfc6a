import { AppError } from '../../platform/errors.ts';
import { linkPrincipal, openPortalLink } from '../../platform/identity/portal-links.ts';
import { deliveriesAbout, deliveryText } from '../../platform/mail/mail.sql.ts';
import type { DemoHands } from './demo-host.ts';

const PERSONAL = /\/portal\/start\/([\w-]+)/;
const UNSUBSCRIBE = /\/portal\/unsubscribe\/([\w-]+)/;

/** Hands of people who know no other links than those in the mail that they got: the newest one about a record counts. */
export function readingMail(hands: DemoHands): DemoHands {
  const { host } = hands;
  return {
    ...hands,
    async link(object, recordId, form) {
      const secret = await findInMail(hands, recordId, PERSONAL);
      const link = await openPortalLink(host.db, secret, host.clock.now());
      if (link.purpose !== `form:${form}`) throw new AppError('internal', `The mail about this ${object} leads to ${link.purpose} and not to form:${form}.`);
      return { secret, context: () => host.contextFor(linkPrincipal(link), { kind: 'command', name: 'simulate' }) };
    },
  };
}

/** Clicks the link at the end of a campaign mail. */
export async function unsubscribe(hands: DemoHands, recordId: string): Promise<void> {
  await hands.host.unsubscribe.unsubscribe(hands.host.db, await findInMail(hands, recordId, UNSUBSCRIBE));
  await hands.settle();
}

async function findInMail({ host }: DemoHands, recordId: string, wanted: RegExp): Promise<string> {
  for (const { id, state } of await deliveriesAbout(host.db, recordId)) {
    const found = wanted.exec((await deliveryText(host.db, id, state))?.plain ?? '')?.[1];
    if (state === 'captured' && found !== undefined) return found;
  }
  throw new AppError('internal', `No mail about the record ${recordId} has a link of the form ${wanted.source}.`);
}
