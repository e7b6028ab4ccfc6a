import { Router } from 'express';
import type { Knex } from 'knex';
import { mayDoEverything } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { isUuid } from '../../platform/ids.ts';
import type { Worker } from '../../platform/jobs/worker.ts';
import { DELIVERIES_PAGE, deliveriesOf, deliveryCounts } from '../../platform/mail/deliveries.sql.ts';
import { insertHold, openHolds, releaseHolds } from '../../platform/mail/holds.sql.ts';
import { DELIVERY_STATES, type DeliverySummary } from '../../platform/mail/mail.sql.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import type { Reader } from '../../platform/query/reader.ts';
import { actorOf } from '../../platform/record/actor.ts';
import { isTransaction } from '../../platform/sql.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { canRead } from './layout.ts';
import { onlyParameters } from './read-query.ts';

export interface DeliveryRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly worker: Worker;
}

interface HoldBody {
  readonly object: string;
  readonly id: string;
}

const REFERENCE = { object: { type: 'string' }, id: { type: 'string', pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' } } as const;
export const HOLD_BODIES = {
  hold: bodySchema<HoldBody & { readonly reason: string }>({
    type: 'object',
    additionalProperties: false,
    required: ['object', 'id', 'reason'],
    properties: { ...REFERENCE, reason: { type: 'string', minLength: 1, maxLength: 500 } },
  }),
  release: bodySchema<HoldBody>({ type: 'object', additionalProperties: false, required: ['object', 'id'], properties: REFERENCE }),
};

/** Mail of a record and of a campaign, for who may read these; mail that is held, for administrators. */
export function deliveryRoutes(deps: DeliveryRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/records/:object/:id/deliveries',
    handle(deps, (call) => listDeliveries(deps.reader, call)),
  );
  router.get(
    '/mail/holds',
    handle(deps, async ({ db, context }) => {
      requireAdministrator(context);
      return { body: { data: await openHolds(db) } };
    }),
  );
  router.post(
    '/mail/holds',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      const { object, id, reason } = readBody(request, HOLD_BODIES.hold);
      await deps.reader.get(db, context, object, id, { fields: ['id'] });
      const hold = { object, id, kind: 'person' as const, reason, at: context.now, by: actorOf(context.principal) };
      await within(db, (tx) => insertHold(tx, hold, context.newId()));
      return { status: 204 };
    }),
  );
  router.post(
    '/mail/holds/release',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      const { object, id } = readBody(request, HOLD_BODIES.release);
      const ended = await within(db, (tx) => releaseHolds(tx, { object, id }, ['health', 'person'], context.now, actorOf(context.principal)));
      if (ended === 0)
        throw new AppError('not_found', 'No mail of this record is held by a person or for what came back. One that is paused is resumed itself.');
      deps.worker.poke();
      return { status: 204 };
    }),
  );
  return router;
}

/** A call that is done once has its transaction already. */
function within<T>(db: Knex, work: (tx: Knex.Transaction) => Promise<T>): Promise<T> {
  return isTransaction(db) ? work(db) : inTransaction(db, work);
}

async function listDeliveries(reader: Reader, { request, db, context }: Call): Promise<Answer> {
  const given = onlyParameters(request, ['state', 'before']);
  const [object, id, state, before] = [param(request, 'object'), param(request, 'id'), given.get('state') ?? null, given.get('before') ?? null];
  if (state !== null && !DELIVERY_STATES.some((known) => known === state))
    throw invalidQuery('state', `There is no state "${state}" of a mail.`, `Known: ${DELIVERY_STATES.join(', ')}.`);
  if (before !== null && !isUuid(before)) throw invalidQuery('before', 'This is no id of a mail.', 'Give the id of the last mail of the page before.');
  const record = await reader.get(db, context, object, id, { fields: ['id'] });
  const found = await deliveriesOf(db, object, record.id, state, before);
  const { states, complaints } = await deliveryCounts(db, object, record.id);
  const seen = await recordsSeen(reader, db, context, found);
  const data = found.flatMap((mail) => shown(context, mail, seen));
  return { body: { data, counts: states, complaints, next: found.length < DELIVERIES_PAGE ? null : (found.at(-1)?.id ?? null) } };
}

/** The records that mails are about, as the caller sees them, by id. */
async function recordsSeen(reader: Reader, db: Knex, context: CallContext, mails: readonly DeliverySummary[]): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, Set<string>>();
  for (const { about } of mails)
    if (about !== null && canRead(context, about.object)) ids.set(about.object, (ids.get(about.object) ?? new Set()).add(about.id));
  const seen = new Map<string, string>();
  for (const [object, wanted] of ids) {
    const list = [...wanted].map((one) => `'${one}'`).join(', ');
    const { data } = await reader.list(db, context, { object, filter: `id in [${list}]`, limit: wanted.size });
    for (const record of data) seen.set(record.id, JSON.stringify(record).toLowerCase());
  }
  return seen;
}

/**
 * A mail as the caller may see it: not at all where the record that it is about may not be read. The address, and what a mail
 * server said, stand there only for who can read that address in the record itself; the subject, made of the record's values,
 * only for administrators.
 */
function shown(context: CallContext, mail: DeliverySummary, seen: ReadonlyMap<string, string>) {
  const record = mail.about === null ? undefined : seen.get(mail.about.id);
  const all = mayDoEverything(context);
  if (record === undefined && !all) return [];
  const isOpen = all || record?.includes(JSON.stringify(mail.recipient.toLowerCase())) === true;
  const { id, class: mailClass, template, about, group, state, attempt, createdAt, sentAt } = mail;
  return [
    {
      ...{ id, class: mailClass, template, about, group, state, attempt, createdAt, sentAt },
      recipient: isOpen ? mail.recipient : null,
      reason: isOpen ? mail.lastError : null,
      subject: all ? mail.subject : null,
    },
  ];
}

function requireAdministrator(context: CallContext): void {
  if (!mayDoEverything(context)) throw new AppError('forbidden', 'Mail that is held is for administrators.');
}
