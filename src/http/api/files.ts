import express, { Router, type Request, type RequestHandler, type Response } from 'express';
import { readRights, rightsFor } from '../../platform/access/rights.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { FileStore } from '../../platform/files/types.ts';
import type { Reader } from '../../platform/query/reader.ts';
import { actorOf } from '../../platform/record/actor.ts';
import { callerOf, principalOf } from '../caller.ts';
import { handle, makeContext, param, type CallDeps } from '../call.ts';
import { requestIdOf } from '../request-id.ts';
import { onlyParameters } from './read-query.ts';

export interface FileRouteDeps extends CallDeps {
  readonly files: FileStore;
  readonly reader: Reader;
}

const rawBody = express.raw({ limit: '20mb', type: () => true });

/** Before the body is read: nobody unknown makes us hold their files. */
const signedIn: RequestHandler = (request, _response, next) => {
  callerOf(request);
  next();
};

/**
 * Files have no rights of their own: one is read through a record that holds it in a field which the caller may read.
 * `POST /files?name=licence.pdf` takes the bytes; the id is then written into a record like any value.
 */
export function fileRoutes(deps: FileRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.post(
    '/files',
    signedIn,
    rawBody,
    handle(deps, async ({ request, db, context }) => {
      const name = onlyParameters(request, ['name']).get('name') ?? '';
      const body: unknown = request.body;
      const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
      if (![...context.model.objects.keys()].some((object) => isWriter(rightsFor(context, object))))
        throw new AppError('forbidden', 'You may not upload files.');
      const file = { name, mediaType: request.get('content-type') ?? 'application/octet-stream', bytes, by: actorOf(context.principal), at: context.now };
      const stored = await inTransaction(db, (tx) => deps.files.put(tx, file));
      return { status: 201, body: { data: stored } };
    }),
  );
  router.get('/records/:object/:id/files/:field', (request, response) => download(deps, request, response));
  return router;
}

function isWriter(rights: { readonly canCreate: boolean; readonly canUpdate: boolean }): boolean {
  return rights.canCreate || rights.canUpdate;
}

async function download(deps: FileRouteDeps, request: Request, response: Response): Promise<void> {
  const context = await makeContext(deps, principalOf(callerOf(request)), requestIdOf(request));
  const [object, id, field] = [param(request, 'object'), param(request, 'id'), param(request, 'field')];
  const rights = readRights(context, object);
  const isFile = rights.readable.has(field) && rights.object.fields.get(field)?.kind === 'file';
  const record = await deps.reader.get(deps.db, context, object, id, { fields: isFile ? [field] : [] });
  const fileId = isFile ? record[field] : null;
  const stored = typeof fileId === 'string' ? await deps.files.stat(deps.db, fileId) : null;
  if (stored === null) throw new AppError('not_found', `This ${object} holds no file in "${field}".`);
  const bytes = await deps.files.read(deps.db, stored.id);
  // Always a download and never sniffed: an uploaded page must not run as one of ours.
  response.set({
    'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(stored.name)}`,
    'Cache-Control': 'private, no-store',
    ETag: `"${stored.sha256}"`,
  });
  response.type(stored.mediaType).send(Buffer.from(bytes));
}
