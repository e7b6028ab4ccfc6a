import { Router, type RequestHandler } from 'express';
import { mayRunAction } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { AppError } from '../../platform/errors.ts';
import { changedSet, type FilesByFolder } from '../../platform/metadata/change.ts';
import { differences } from '../../platform/metadata/differences.ts';
import { packageFiles } from '../../platform/metadata/write-files.ts';
import { actorOf } from '../../platform/record/actor.ts';
import type { ApplyOptions } from '../../platform/schema/change.ts';
import { reportDrift } from '../../platform/schema/drift.ts';
import { findLoops } from '../../platform/automation/loops.ts';
import type { Wish } from '../../platform/schema/planner.ts';
import { shownStep } from '../../platform/schema/shown-step.ts';
import type { ModelStore } from '../../platform/schema/store.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, type Answer, type CallDeps } from '../call.ts';
import { onlyParameters } from './read-query.ts';

export interface MetadataRouteDeps extends CallDeps {
  readonly store: ModelStore;
}

const files = { type: 'object', additionalProperties: { type: 'object', additionalProperties: true } };
const hash = { type: 'string', minLength: 8, maxLength: 64 };

interface ChangeBody {
  readonly files?: FilesByFolder;
  readonly remove?: readonly string[];
  readonly allowDestructive?: boolean;
  readonly hash?: string;
}

/** Bodies of these routes; the OpenAPI document shows the same schemas. */
export const METADATA_BODIES = {
  change: bodySchema<ChangeBody>({
    type: 'object',
    additionalProperties: false,
    properties: { files, remove: { type: 'array', items: { type: 'string' } }, allowDestructive: { type: 'boolean' }, hash },
  }),
  rollback: bodySchema<{ readonly version: number; readonly hash?: string; readonly dryRun?: boolean }>({
    type: 'object',
    additionalProperties: false,
    required: ['version'],
    properties: { version: { type: 'integer', minimum: 1 }, hash, dryRun: { type: 'boolean' } },
  }),
};

/** What is in force, plans of local changes, and carrying them out: for those who may change metadata (action `metadata`). */
export function metadataRoutes(deps: MetadataRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/metadata',
    handle(deps, async ({ request, context }) => {
      requireAdministrator(context);
      const parameters = onlyParameters(request, ['files']);
      return { body: { data: await describe(deps, parameters.get('files') === 'true') } };
    }),
  );
  router.post(
    '/metadata/plan',
    refuseKey,
    handle(deps, (call) => change(deps, call.context, readBody(call.request, METADATA_BODIES.change), true)),
  );
  router.post(
    '/metadata/apply',
    refuseKey,
    handle(deps, (call) => change(deps, call.context, readBody(call.request, METADATA_BODIES.change), false)),
  );
  router.post(
    '/metadata/rollback',
    refuseKey,
    handle(deps, async ({ request, context }) => {
      requireAdministrator(context);
      const body = readBody(request, METADATA_BODIES.rollback);
      const wish: Wish = { kind: 'return', version: body.version };
      return body.dryRun === true ? plan(deps, wish, false) : apply(deps, context, wish, body.hash === undefined ? {} : { hash: body.hash });
    }),
  );
  return router;
}

function requireAdministrator(context: CallContext): void {
  if (!mayRunAction(context, 'metadata')) throw new AppError('forbidden', 'Only those who administer the metadata may do this.');
}

/** A key would hold a transaction open for as long as applying takes; applying again changes nothing anyway. */
export const refuseKey: RequestHandler = (request, _response, next) => {
  next(
    request.get('idempotency-key') === undefined
      ? undefined
      : new AppError('bad_request', 'Send no Idempotency-Key here: applying the same again changes nothing.'),
  );
};

async function change(deps: MetadataRouteDeps, context: CallContext, body: ChangeBody, isPlan: boolean): Promise<Answer> {
  requireAdministrator(context);
  const { set } = await deps.store.recorded();
  const wish: Wish = { kind: 'change', set: changedSet(set, body.files ?? {}, body.remove ?? []) };
  const allowDestructive = body.allowDestructive === true;
  if (isPlan) return plan(deps, wish, allowDestructive);
  return apply(deps, context, wish, { allowDestructive, ...(body.hash === undefined ? {} : { hash: body.hash }) });
}

async function plan({ store }: MetadataRouteDeps, wish: Wish, allowDestructive: boolean): Promise<Answer> {
  const { steps, hash: planned, conflicts } = await store.plan(wish, { allowDestructive });
  const remarks = findLoops(await store.preview(wish));
  return { body: { data: { steps: steps.map(shownStep), hash: planned, conflicts, remarks } } };
}

async function apply({ store }: MetadataRouteDeps, context: CallContext, wish: Wish, options: ApplyOptions): Promise<Answer> {
  const { steps, hash: planned, conflicts, version } = await store.apply(wish, actorOf(context.principal), options);
  return { body: { data: { steps: steps.map(shownStep), hash: planned, conflicts, version } } };
}

const SHOWN_VERSIONS = 50;

async function describe({ store, db }: MetadataRouteDeps, withFiles: boolean): Promise<unknown> {
  const recorded = await store.recorded();
  const { drift, kept } = await reportDrift(db);
  return {
    version: recorded.version,
    package: recorded.package?.name ?? null,
    versions: await store.versions(SHOWN_VERSIONS),
    local: differences(recorded.files, recorded.set),
    drift,
    kept,
    ...(withFiles ? { files: Object.fromEntries(packageFiles(recorded.set, null)) } : {}),
  };
}
