import { Router } from 'express';
import type { Reader } from '../../platform/query/reader.ts';
import type { RecordEngine } from '../../platform/record/types.ts';
import type { TransitionStates } from '../../platform/record/transition-states.sql.ts';
import { readBody } from '../body.ts';
import { handle, ifMatch, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { sectionsFor } from './layout.ts';
import { lifecycleRoutes } from './lifecycle.ts';
import { AGGREGATE_BODY, getOptions, listQuery, QUERY_BODY, valuesOf } from './read-query.ts';

export interface RecordRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly engine: RecordEngine;
  readonly transitionStates: TransitionStates;
}

/** Routes below /api/v1/records. */
export function recordRoutes(deps: RecordRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  const on = (work: (call: Call) => Promise<Answer>) => handle(deps, work);
  const { reader, engine } = deps;
  const target = ({ request }: Call): readonly [string, string] => [param(request, 'object'), param(request, 'id')];

  // Each path once, and what is asked for most first: every route before the one that is meant takes its time.
  router
    .route('/:object')
    .get(on(async ({ request, db, context }) => ({ body: await reader.list(db, context, listQuery(request, param(request, 'object'))) })))
    .post(
      on(async (call) =>
        created(call, await engine.writeOne(call.db, call.context, param(call.request, 'object'), { kind: 'create', values: valuesOf(call.request.body) })),
      ),
    );
  router
    .route('/:object/:id')
    .get(
      on(async (call) => {
        const options = getOptions(call.request);
        const record = await reader.get(call.db, call.context, ...target(call), options);
        // What a record was is nothing that If-Match could be sent with.
        const isPast = options.recordedAt !== undefined || options.asOf !== undefined;
        return { body: { data: record }, ...(isPast ? {} : { version: record.version }) };
      }),
    )
    .patch(on((call) => change(engine, call, { kind: 'update', version: ifMatch(call.request), values: valuesOf(call.request.body) })))
    .delete(
      on(async (call) => {
        const [object, record] = target(call);
        await engine.writeOne(call.db, call.context, object, { kind: 'delete', id: record, version: ifMatch(call.request) });
        return { status: 204 };
      }),
    );
  router.post(
    '/:object/query',
    on(async ({ request, db, context }) => ({ body: await reader.list(db, context, { object: param(request, 'object'), ...readBody(request, QUERY_BODY) }) })),
  );
  router.post(
    '/:object/aggregate',
    on(async ({ request, db, context }) => ({
      body: await reader.aggregate(db, context, { object: param(request, 'object'), ...readBody(request, AGGREGATE_BODY) }),
    })),
  );
  router.get(
    '/:object/:id/transitions',
    on(async (call) => ({ body: { data: await deps.transitionStates(call.db, call.context, ...target(call)) } })),
  );
  router.post(
    '/:object/:id/transitions/:name',
    on((call) =>
      change(engine, call, {
        kind: 'transition',
        version: ifMatch(call.request),
        transition: param(call.request, 'name'),
        values: valuesOf(call.request.body ?? {}),
      }),
    ),
  );
  router.get(
    '/:object/:id/layout',
    on(async (call) => ({ body: { data: { sections: await sectionsFor(reader, call.db, call.context, ...target(call)) } } })),
  );
  router.get(
    '/:object/:id/history',
    on(async (call) => ({ body: { data: await reader.history(call.db, call.context, ...target(call)) } })),
  );
  router.use(lifecycleRoutes(deps));
  return router;
}

type Written = Awaited<ReturnType<RecordEngine['writeOne']>>;

function created(call: Call, written: Written): Answer {
  const location = `/api/v1/records/${param(call.request, 'object')}/${written.id}`;
  return { status: 201, body: { data: written.record ?? { id: written.id, version: written.version } }, version: written.version, location };
}

type Change =
  | { readonly kind: 'update'; readonly version: number; readonly values: Readonly<Record<string, unknown>> }
  | { readonly kind: 'transition'; readonly version: number; readonly transition: string; readonly values: Readonly<Record<string, unknown>> };

async function change(engine: RecordEngine, { request, db, context }: Call, what: Change): Promise<Answer> {
  const written = await engine.writeOne(db, context, param(request, 'object'), { ...what, id: param(request, 'id') });
  return { body: { data: written.record ?? { id: written.id, version: written.version } }, version: written.version };
}
