import { Router } from 'express';
import { AppError } from '../../platform/errors.ts';
import type { Worker } from '../../platform/jobs/worker.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import { readEndpoint, requireWebhookAdministrator, type NewEndpoint, type Webhooks } from '../../platform/webhooks/endpoints.ts';
import { DELIVERY_STATES, WEBHOOK_KINDS } from '../../platform/webhooks/types.ts';
import { allEndpoints, deliveriesTo } from '../../platform/webhooks/webhooks.sql.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { onlyParameters } from './read-query.ts';

export interface WebhookRouteDeps extends CallDeps {
  readonly webhooks: Webhooks;
  readonly worker: Pick<Worker, 'poke'>;
}

const names = { type: 'array', minItems: 1, maxItems: 50, uniqueItems: true, items: { type: 'string', minLength: 1, maxLength: 100 } };

/** Bodies of these routes; the OpenAPI document shows the same schemas. */
export const WEBHOOK_BODIES = {
  add: bodySchema<NewEndpoint>({
    type: 'object',
    additionalProperties: false,
    required: ['name', 'url', 'objects', 'permissionSets'],
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 100 },
      url: { type: 'string', minLength: 1, maxLength: 2000 },
      objects: names,
      kinds: { type: 'array', minItems: 1, uniqueItems: true, items: { enum: [...WEBHOOK_KINDS] } },
      permissionSets: names,
    },
  }),
  replay: bodySchema<{ readonly from: number }>({
    type: 'object',
    additionalProperties: false,
    required: ['from'],
    properties: { from: { type: 'integer', minimum: 0, description: 'The `seq` of the first event.' } },
  }),
};

/** Addresses that events are sent to, what was sent to them, and sending it again: for administrators. */
export function webhookRoutes(deps: WebhookRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  const { webhooks } = deps;
  const work = (task: (call: Call, id: string) => Promise<Answer>): ReturnType<typeof handle> =>
    handle(deps, (call) => {
      requireWebhookAdministrator(call.context);
      return task(call, call.request.params['id'] === undefined ? '' : param(call.request, 'id'));
    });
  const setActive = (active: boolean): ReturnType<typeof handle> =>
    work(async ({ db, context }, id) => {
      await webhooks.setActive(db, context, id, active);
      if (active) deps.worker.poke();
      return { status: 204 };
    });

  router.get(
    '/webhooks',
    work(async ({ db }) => ({ body: { data: await allEndpoints(db) } })),
  );
  router.post(
    '/webhooks',
    work(async ({ request, db, context }) => {
      const { endpoint, secret } = await webhooks.add(db, context, readBody(request, WEBHOOK_BODIES.add));
      return { status: 201, body: { data: { ...endpoint, secret } }, location: `/api/v1/webhooks/${endpoint.id}`, isSecret: true };
    }),
  );
  router.get(
    '/webhooks/:id',
    work(async ({ db }, id) => ({ body: { data: await readEndpoint(db, id) } })),
  );
  router.delete(
    '/webhooks/:id',
    work(async ({ db, context }, id) => {
      await webhooks.remove(db, context, id);
      return { status: 204 };
    }),
  );
  router.post('/webhooks/:id/activate', setActive(true));
  router.post('/webhooks/:id/deactivate', setActive(false));
  router.post(
    '/webhooks/:id/secret',
    work(async ({ db, context }, id) => ({ body: { data: { secret: await webhooks.rotate(db, context, id) } }, isSecret: true })),
  );
  router.post(
    '/webhooks/:id/replay',
    work(async ({ request, db, context }, id) => {
      const count = await webhooks.replay(db, context, id, readBody(request, WEBHOOK_BODIES.replay).from);
      deps.worker.poke();
      return { body: { data: { count } } };
    }),
  );
  router.get(
    '/webhooks/:id/deliveries',
    work(async ({ request, db }, id) => {
      const wanted = onlyParameters(request, ['state', 'before']);
      const state = DELIVERY_STATES.find((entry) => entry === wanted.get('state')) ?? null;
      if (state === null && wanted.has('state'))
        throw invalidQuery('state', `There is no state "${wanted.get('state') ?? ''}" here.`, `Known: ${DELIVERY_STATES.join(', ')}.`);
      const before = wanted.get('before') ?? null;
      if (before !== null && !/^\d{1,15}$/.test(before)) throw new AppError('bad_request', 'before is the seq of an event, a whole number.');
      await readEndpoint(db, id);
      return { body: { data: await deliveriesTo(db, id, { state, before: before === null ? null : Number(before) }) } };
    }),
  );
  router.post(
    '/webhooks/:id/deliveries/:delivery/replay',
    work(async ({ request, db, context }, id) => {
      await webhooks.again(db, context, id, param(request, 'delivery'));
      deps.worker.poke();
      return { status: 204 };
    }),
  );
  return router;
}
