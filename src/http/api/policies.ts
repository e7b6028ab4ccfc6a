import { Router } from 'express';
import { AppError } from '../../platform/errors.ts';
import { parseDate } from '../../platform/expression/dates.ts';
import { approvePolicy, retirePolicy, reviewPolicy, signer } from '../../platform/policies/approve.ts';
import { policyAsOf, whatIf } from '../../platform/policies/what-if.ts';
import { listPolicies, readPolicy } from '../../platform/policies/document-control.ts';
import { makePolicies } from '../../platform/policies/policies.ts';
import type { ModelStore } from '../../platform/schema/store.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, param, type CallDeps } from '../call.ts';
import { refuseKey } from './metadata.ts';
import { onlyParameters } from './read-query.ts';

export interface PolicyRouteDeps extends CallDeps {
  readonly store: ModelStore;
}

const words = { type: 'string', minLength: 1, maxLength: 2000 };
const day = { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}$' };

/** Bodies of these routes; the OpenAPI document shows the same schemas. */
export const POLICY_BODIES = {
  approve: bodySchema<{ readonly version: string; readonly hash: string; readonly reference: string }>({
    type: 'object',
    additionalProperties: false,
    required: ['version', 'hash', 'reference'],
    properties: { version: { type: 'string', maxLength: 10 }, hash: { type: 'string', pattern: '^[0-9a-f]{64}$' }, reference: words },
  }),
  review: bodySchema<{ readonly note: string }>({ type: 'object', additionalProperties: false, required: ['note'], properties: { note: words } }),
  retire: bodySchema<{ readonly on: string | null; readonly reference: string }>({
    type: 'object',
    additionalProperties: false,
    required: ['on', 'reference'],
    properties: { on: { anyOf: [day, { type: 'null' }] }, reference: words },
  }),
  whatIf: bodySchema<{ readonly from?: string; readonly fromMetadata?: number; readonly to: string; readonly filter?: string }>({
    type: 'object',
    additionalProperties: false,
    required: ['to'],
    properties: {
      from: { type: 'string', maxLength: 10, description: 'A version of the policy; the one in force today when left out.' },
      fromMetadata: { type: 'integer', minimum: 1, description: 'Takes `from` as this version of the metadata had it.' },
      to: { type: 'string', maxLength: 10 },
      filter: { type: 'string', maxLength: 4000 },
    },
  }),
  decide: bodySchema<{ readonly on?: string; readonly input: Readonly<Record<string, unknown>> }>({
    type: 'object',
    additionalProperties: false,
    required: ['input'],
    properties: { on: day, input: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean', 'null'] } } },
  }),
};

/** The policies with their versions, approvals and reviews; deciding by one; and signing, for those who approve policies. */
export function policyRoutes(deps: PolicyRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/policies',
    handle(deps, async ({ request, db, context }) => {
      const withRetired = onlyParameters(request, ['retired']).get('retired') === 'true';
      return { body: { data: await listPolicies(db, context.model, context.today, withRetired) } };
    }),
  );
  router.get(
    '/policies/:name',
    handle(deps, async ({ request, db, context }) => ({ body: { data: await readPolicy(db, context.model, context.today, param(request, 'name')) } })),
  );
  router.post(
    '/policies/:name/decide',
    handle(deps, ({ request, context }) => {
      const body = readBody(request, POLICY_BODIES.decide);
      const on = dayOf(body.on ?? context.today, '/on');
      return Promise.resolve({ body: { data: makePolicies(context.model).decide(param(request, 'name'), body.input, on) } });
    }),
  );
  router.post(
    '/policies/:name/what-if',
    handle(deps, async ({ request, db, context }) => {
      signer(context);
      const name = param(request, 'name');
      const { fromMetadata, ...wish } = readBody(request, POLICY_BODIES.whatIf);
      const file = fromMetadata === undefined ? undefined : await policyAsOf(deps.store, context.model, name, fromMetadata);
      return { body: { data: await whatIf(db, context, name, file === undefined ? wish : { ...wish, file }) } };
    }),
  );
  router.post(
    '/policies/:name/approve',
    refuseKey,
    handle(deps, async ({ request, context }) => {
      signer(context);
      const version = await approvePolicy(deps.store, context, param(request, 'name'), readBody(request, POLICY_BODIES.approve));
      return { body: { data: { version } } };
    }),
  );
  router.post(
    '/policies/:name/retire',
    refuseKey,
    handle(deps, async ({ request, context }) => {
      signer(context);
      const { on, reference } = readBody(request, POLICY_BODIES.retire);
      const version = await retirePolicy(deps.store, context, param(request, 'name'), on === null ? null : dayOf(on, '/on'), reference);
      return { body: { data: { version } } };
    }),
  );
  router.post(
    '/policies/:name/reviews',
    handle(deps, async ({ request, db, context }) => {
      signer(context);
      await reviewPolicy(db, context, param(request, 'name'), readBody(request, POLICY_BODIES.review).note);
      return { status: 204 };
    }),
  );
  return router;
}

function dayOf(text: string, pointer: string): string {
  if (parseDate(text) !== null) return text;
  throw new AppError('bad_request', `"${text}" is no day.`, { errors: [{ pointer, code: 'wrong_value', detail: `"${text}" is no day.` }] });
}
