import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Log } from '../log.ts';
import type { PolicyLookup } from '../record/related.sql.ts';
import { groupFigures, insertHold } from './holds.sql.ts';
import type { DeliverySummary } from './mail.sql.ts';

/** The policy that says when mail is held; it is given the figures of a group as keys. */
export const HEALTH_POLICY = 'mail-health';

export interface MailHealthOptions {
  readonly policies: PolicyLookup;
  readonly log: Log;
  context(): Promise<CallContext>;
}

/**
 * Looks at the group of a mail that came back or was complained about: when the policy `mail-health` says that too much of it
 * did, its mail is held from now on until an administrator lets it go, and the log says so. Without the policy nothing is held.
 */
export function makeMailHealth(options: MailHealthOptions) {
  return async (tx: Knex.Transaction, delivery: DeliverySummary, call?: CallContext): Promise<void> => {
    const { group } = delivery;
    if (group === null) return;
    const context = call ?? (await options.context());
    if (!context.model.policies.has(HEALTH_POLICY)) return;
    const { sent, bounced, complained } = await groupFigures(tx, group);
    const share = (count: number): number => (sent === 0 ? 0 : (100 * count) / sent);
    const found = options.policies(context.model, HEALTH_POLICY, { sent, bouncePercent: share(bounced), complaintPercent: share(complained) }, context.today);
    if (found?.['hold'] !== true) return;
    const reason = `Of ${String(sent)} mails ${String(bounced)} came back and ${String(complained)} were complained about.`;
    if (await insertHold(tx, { ...group, kind: 'health', reason, at: context.now, by: 'system:mail' }, context.newId()))
      options.log.warn(
        { ...group, sent, bounced, complained },
        'Mail is held, for too much of it came back or was complained about; an administrator lets it go.',
      );
  };
}
