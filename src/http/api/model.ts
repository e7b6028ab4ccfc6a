import { Router } from 'express';
import type { Reader } from '../../platform/query/reader.ts';
import { listTrash } from '../../platform/query/trash-list.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import { handle, param, type CallDeps } from '../call.ts';
import { clientOf } from '../openapi/client.ts';
import { openApiOf } from '../openapi/document.ts';
import { describeObject, listObjects } from './describe.ts';
import { duplicateRoutes } from './duplicates.ts';
import { listOf, onlyParameters, present, wholeNumber } from './read-query.ts';
import { viewRoutes } from './views.ts';

export interface ModelRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly publicUrl: () => string;
  readonly sendsMail: boolean;
}

/** What the caller may see of the Model, the OpenAPI document made from it, and search across it. */
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
    '/search',
    handle(deps, async ({ request, db, context }) => {
      const found = onlyParameters(request, ['q', 'objects', 'limit']);
      const limit = found.get('limit');
      if (limit !== undefined && !/^\d{1,4}$/.test(limit)) throw invalidQuery('limit', '"limit" is a whole number.');
      const text = found.get('q');
      if (text === undefined) throw invalidQuery('q', 'Say what to look for, as in ?q=smith.');
      const options = present({ objects: listOf(found.get('objects')), limit: limit === undefined ? undefined : Number(limit) });
      return { body: { data: await deps.reader.search(db, context, text, options) } };
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
