import { mayDoEverything } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { DELIVERY_STATES, WEBHOOK_KINDS } from '../../platform/webhooks/types.ts';
import { WEBHOOK_BODIES } from '../api/webhooks.ts';
import {
  dataOf,
  FLAG,
  get,
  inPath,
  INSTANT,
  inQuery,
  list,
  listOf,
  ONCE,
  oneOf,
  orNull,
  post,
  RECORD_ID,
  remove,
  shape,
  TEXT,
  UUID,
  WHOLE,
  type Json,
} from './parts.ts';

const tag = 'Webhooks';

const ENDPOINT: Json = {
  id: UUID,
  name: TEXT,
  url: TEXT,
  objects: listOf(TEXT),
  kinds: listOf(oneOf(...WEBHOOK_KINDS)),
  permissionSets: listOf(TEXT),
  active: FLAG,
  inactiveReason: orNull(TEXT),
  pausedUntil: orNull(INSTANT),
  createdAt: INSTANT,
};
const SECRET: Json = { ...TEXT, description: 'Shown once: what receivers verify signatures with (Standard Webhooks).' };
const DELIVERY = shape({
  id: UUID,
  endpoint: UUID,
  webhookId: TEXT,
  seq: WHOLE,
  object: TEXT,
  recordId: orNull(UUID),
  kind: oneOf(...WEBHOOK_KINDS),
  state: oneOf(...DELIVERY_STATES),
  tries: WHOLE,
  nextAttemptAt: orNull(INSTANT),
  status: orNull(WHOLE),
  error: orNull(TEXT),
  createdAt: INSTANT,
  finishedAt: orNull(INSTANT),
});

/** Addresses that events are sent to: for administrators. */
export function webhookPaths(context: CallContext): Json {
  if (!mayDoEverything(context)) return {};
  const parameters = [RECORD_ID];
  const doing = { tag, parameters: [RECORD_ID, ONCE], status: 204 };
  const adding = post({
    id: 'addWebhook',
    summary: 'Have events sent to an address',
    tag,
    parameters: [ONCE],
    body: WEBHOOK_BODIES.add.schema,
    status: 201,
    answer: dataOf(shape({ ...ENDPOINT, secret: SECRET })),
    headers: ['Location'],
    errors: ['validation_failed'],
  });
  return {
    '/api/v1/webhooks': { ...get({ id: 'listWebhooks', summary: 'Addresses that events are sent to', tag, answer: list(shape(ENDPOINT)) }), ...adding },
    '/api/v1/webhooks/{id}': {
      ...get({ id: 'readWebhook', summary: 'One such address', tag, parameters, answer: dataOf(shape(ENDPOINT)) }),
      ...remove({ id: 'removeWebhook', summary: 'Remove it, with the list of its deliveries', tag, parameters }),
    },
    '/api/v1/webhooks/{id}/activate': post({ ...doing, id: 'activateWebhook', summary: 'Send to it again' }),
    '/api/v1/webhooks/{id}/deactivate': post({ ...doing, id: 'deactivateWebhook', summary: 'Send nothing more to it; what waits goes on waiting' }),
    '/api/v1/webhooks/{id}/secret': post({
      id: 'replaceWebhookSecret',
      summary: 'Another secret; the one before signs beside it for a day',
      tag,
      parameters: [RECORD_ID, ONCE],
      answer: dataOf(shape({ secret: SECRET })),
    }),
    '/api/v1/webhooks/{id}/replay': post({
      id: 'replayWebhook',
      summary: 'Send all events from a place on again, with the identifiers they had',
      tag,
      parameters: [RECORD_ID, ONCE],
      body: WEBHOOK_BODIES.replay.schema,
      answer: dataOf(shape({ count: WHOLE })),
    }),
    '/api/v1/webhooks/{id}/deliveries': get({
      id: 'listWebhookDeliveries',
      summary: 'What was or is to be sent there, at most 200, newest event first',
      tag,
      parameters: [
        RECORD_ID,
        inQuery('state', 'Only those in this state.', oneOf(...DELIVERY_STATES)),
        inQuery('before', 'Only events before this `seq`: the way to the next page.', WHOLE),
      ],
      answer: list(DELIVERY),
    }),
    '/api/v1/webhooks/{id}/deliveries/{delivery}/replay': post({
      id: 'replayWebhookDelivery',
      summary: 'Send one again that ended, with the identifier it had',
      tag,
      parameters: [RECORD_ID, inPath('delivery', UUID), ONCE],
      status: 204,
    }),
  };
}
