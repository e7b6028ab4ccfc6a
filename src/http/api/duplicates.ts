import { Router } from 'express';
import type { Reader } from '../../platform/query/reader.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import { dismissDuplicate, listDuplicates } from '../../platform/record/duplicate-pairs.ts';
import { handle, param, type CallDeps } from '../call.ts';
import { onlyParameters } from './read-query.ts';

export interface DuplicateRouteDeps extends CallDeps {
  readonly reader: Reader;
}

/** Pairs that a duplicate rule reported, and saying that two records are not the same. */
export function duplicateRoutes(deps: DuplicateRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/duplicates',
    handle(deps, async ({ request, db, context }) => {
      const object = onlyParameters(request, ['object']).get('object');
      if (object === undefined) throw invalidQuery('object', 'Say of which object, as in ?object=Name.');
      return { body: { data: await listDuplicates(deps.reader, db, context, object, null) } };
    }),
  );
  router.get(
    '/records/:object/:id/duplicates',
    handle(deps, async ({ request, db, context }) => ({
      body: { data: await listDuplicates(deps.reader, db, context, param(request, 'object'), param(request, 'id')) },
    })),
  );
  router.post(
    '/duplicates/:id/dismiss',
    handle(deps, async ({ request, db, context }) => {
      await dismissDuplicate(deps.reader, db, context, param(request, 'id'));
      return { status: 204 };
    }),
  );
  return router;
}
