import { mayDoEverything } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { DELIVERY_STATES } from '../../platform/mail/mail.sql.ts';
import { listObjects } from '../api/describe.ts';
import { HOLD_BODIES } from '../api/deliveries.ts';
import { get, INSTANT, inQuery, list, listOf, MAP, ONCE, oneOf, orNull, post, RECORD_ID, shape, TEXT, UUID, WHOLE, type Json } from './parts.ts';

const tag = 'Mail';
const REFERENCE = orNull(shape({ object: TEXT, id: UUID }));
const MAIL = shape({
  id: UUID,
  class: TEXT,
  template: TEXT,
  about: REFERENCE,
  group: REFERENCE,
  state: oneOf(...DELIVERY_STATES),
  attempt: WHOLE,
  createdAt: INSTANT,
  sentAt: orNull(INSTANT),
  recipient: orNull(TEXT),
  reason: orNull(TEXT),
  subject: orNull(TEXT),
});
const HOLD = shape({ object: TEXT, id: UUID, kind: oneOf('state', 'health', 'person'), reason: TEXT, at: INSTANT, by: TEXT, waiting: WHOLE });

/** Mail of a record, and mail that is held. */
export function deliveryPaths(context: CallContext): Json {
  const parameters = [
    RECORD_ID,
    inQuery('state', 'Only those in this state.', oneOf(...DELIVERY_STATES)),
    inQuery('before', 'The id of the last mail of the page before.', UUID),
  ];
  const answer = shape({ data: listOf(MAIL), counts: MAP, complaints: WHOLE, next: orNull(UUID) });
  const own: Json = Object.fromEntries(
    listObjects(context).map(({ name, label }) => [
      `/api/v1/records/${name}/{id}/deliveries`,
      get({
        id: `deliveries${name}`,
        summary: `Mails about a ${label} and those that belong to it, newest first, with state and reason`,
        tag: name,
        parameters,
        answer,
      }),
    ]),
  );
  if (!mayDoEverything(context)) return own;
  const answers = (id: string, summary: string, body: Json): Json => post({ id, summary, tag, parameters: [ONCE], body, status: 204, errors: ['not_found'] });
  return {
    ...own,
    '/api/v1/mail/holds': {
      ...get({ id: 'listMailHolds', summary: 'Records whose mail is held, and why', tag, answer: list(HOLD) }),
      ...answers('holdMail', 'Hold the mail that belongs to a record', HOLD_BODIES.hold.schema),
    },
    '/api/v1/mail/holds/release': answers('releaseMail', 'Let mail go that was held by a person or for what came back', HOLD_BODIES.release.schema),
  };
}
