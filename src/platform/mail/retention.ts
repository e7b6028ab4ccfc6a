import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import type { Log } from '../log.ts';
import type { PolicyLookup } from '../record/related.sql.ts';
import { BOUNCES, forgetAcknowledged, purgeCopies } from './inbound.sql.ts';
import { mailboxCount } from './mailbox-values.ts';

export interface MailRetentionOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly policies: PolicyLookup;
  readonly context: () => Promise<CallContext>;
}

const AT_ONCE = 200;
/** Copies are kept for days: to look once an hour is enough. */
const LOOK_AGAIN_MS = 3_600_000;

/**
 * Work of the worker: the copy of a message as it came is given up on the day after its last day, by the retention of its mailbox. Its
 * records stay, and so does what it is known again by. Reports to the address of bounces are kept as long as the mailbox that keeps longest.
 */
export function makeMailRetention(options: MailRetentionOptions): {
  readonly name: string;
  readonly everySeconds: number;
  readonly run: (db: Knex) => Promise<number>;
} {
  const { clock, log, policies } = options;
  let lookedAt: number | null = null;
  return {
    name: 'mail-retention',
    everySeconds: 60,
    run: async (db) => {
      const nowMs = clock.nowMs();
      // Also when the clock was set back.
      if (lookedAt !== null && nowMs >= lookedAt && nowMs - lookedAt < LOOK_AGAIN_MS) return 0;
      const context = await options.context();
      const zone = context.model.calendarLookup.planZone;
      let purged = 0;
      for (const [mailbox, days] of retentions(context, policies)) {
        purged += await inTransaction(db, (tx) => purgeCopies(tx, { mailbox, days, today: context.today, zone, limit: AT_ONCE }));
      }
      if (purged > 0) {
        log.info({ messages: purged }, 'Copies of messages that came in were given up, as their retention says.');
        return purged;
      }
      await inTransaction(db, (tx) => forgetAcknowledged(tx, context.today));
      lookedAt = nowMs;
      return 0;
    },
  };
}

function retentions(context: CallContext, policies: PolicyLookup): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  let longest: number | null = 0;
  for (const mailbox of context.model.mailboxes.values()) {
    const days = mailbox.retention === undefined ? null : mailboxCount(context, policies, mailbox.retention.days, {}, {});
    if (days !== null) found.set(mailbox.name, days);
    longest = days === null || longest === null ? null : Math.max(longest, days);
  }
  if (longest !== null && found.size > 0) found.set(BOUNCES, longest);
  return found;
}
