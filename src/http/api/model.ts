import { Router } from 'express';
import type { Reader } from '../../platform/query/reader.ts';
import { listTrash } from '../../platform/query/trash-list.ts';
import { handle, param, type CallDeps } from '../call.ts';
import { clientOf } from '../openapi/client.ts';
import { openApiOf } from '../openapi/document.ts';
import { describeObject, listObjects } from './describe.ts';
import { duplicateRoutes } from './duplicates.ts';
import { listOf, onlyParameters, wholeNumber } from './read-query.ts';
import { viewRoutes } from './views.ts';

export interface ModelRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly publicUrl: () => string;
  readonly sendsMail: boolean;
}

/** What the caller may see of the Model, the OpenAPI document made from it, and what stands across objects. */
export function modelRoutes(deps: ModelRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/objects',
    handle(deps, async ({ context }) => Promise.resolve({ body: { data: listObjects(context) } })),
  );
  router.get(
    '/objects/:object',
    handle(deps, async ({ request, context }) => Promise.resolve({ body: { data: describeObject(context, param(request, 'object')) } })),
  );
  router.get(
    '/openapi.json',
    handle(deps, async ({ context }) => Promise.resolve({ body: openApiOf(context, { publicUrl: deps.publicUrl(), sendsMail: deps.sendsMail }) })),
  );
  router.get(
    '/client.ts',
    handle(deps, ({ context }) => {
      const text = clientOf(openApiOf(context, { publicUrl: deps.publicUrl(), sendsMail: deps.sendsMail }));
      return Promise.resolve({ text: { type: 'text/typescript', text } });
    }),
  );
  router.get(
    '/trash',
    handle(deps, async ({ request, db, context }) => {
      const found = onlyParameters(request, ['objects', 'limit', 'cursor']);
      return {
        body: await listTrash(db, context, {
          objects: listOf(found.get('objects')),
          limit: wholeNumber('limit', found.get('limit')),
          cursor: found.get('cursor'),
        }),
      };
    }),
  );
  router.use(duplicateRoutes(deps));
  router.use(viewRoutes(deps));
  return router;
}
