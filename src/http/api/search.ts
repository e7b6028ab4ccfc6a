import { Router } from 'express';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import type { Reader } from '../../platform/query/reader.ts';
import { handle, type CallDeps } from '../call.ts';
import { listOf, onlyParameters, present } from './read-query.ts';

/** Search over the records of all objects that the caller may read. */
export function searchRoutes(deps: CallDeps & { readonly reader: Reader }): Router {
  const router = Router({ caseSensitive: true });
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
  return router;
}
