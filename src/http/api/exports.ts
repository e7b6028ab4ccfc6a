import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Router } from 'express';
import { exportRecords } from '../../platform/import/export.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import { makeContext, param, type CallDeps } from '../call.ts';
import { callerOf, principalOf } from '../caller.ts';
import { requestIdOf } from '../request-id.ts';
import { listOf, onlyParameters, present } from './read-query.ts';

const FORMATS = ['csv', 'ndjson', 'xlsx'] as const;

/** All records of an object that fit, streamed as a file. */
export function exportRoutes(deps: CallDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get('/exports/:object', async (request, response) => {
    const context = await makeContext(deps, principalOf(callerOf(request)), requestIdOf(request));
    const found = onlyParameters(request, ['format', 'filter', 'fields', 'search', 'effectiveOn']);
    const asked = found.get('format') ?? 'csv';
    const format = FORMATS.find((known) => known === asked);
    if (format === undefined) throw invalidQuery('format', `"format" is ${FORMATS.join(', ')}.`);
    const query = present({
      filter: found.get('filter'),
      fields: listOf(found.get('fields')),
      search: found.get('search'),
      effectiveOn: found.get('effectiveOn'),
    });
    const file = await exportRecords(deps.db, context, { object: param(request, 'object'), format, ...query });
    response.writeHead(200, {
      'Content-Type': file.mediaType,
      'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(file.fileName)}`,
      'Cache-Control': 'private, no-store',
    });
    await pipeline(Readable.from(file.content), response);
  });
  return router;
}
