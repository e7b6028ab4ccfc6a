import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Router, type Request, type RequestHandler, type Response } from 'express';
import multer from 'multer';
import { AppError } from '../../platform/errors.ts';
import { requireImporter, type ImportJobs, type Upload } from '../../platform/import/jobs.ts';
import type { ImportSettings } from '../../platform/import/types.ts';
import { bodySchema, jsonBody, readBody } from '../body.ts';
import { handle, makeContext, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { callerOf, principalOf } from '../caller.ts';
import { requestIdOf } from '../request-id.ts';
import { onlyParameters } from './read-query.ts';

export interface ImportRouteDeps extends CallDeps {
  readonly imports: ImportJobs;
  /** Told that there is something to do; it looks at once when it runs in this process. */
  readonly worker: { readonly poke: () => void };
}

const name = { type: 'string', minLength: 1, maxLength: 200 };
const SETTINGS_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: {
    map: { anyOf: [name, { type: 'null' }] },
    columns: {
      anyOf: [
        {
          type: 'array',
          maxItems: 5000,
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['column', 'field'],
            properties: {
              column: { type: 'string', maxLength: 1000 },
              field: { anyOf: [name, { type: 'null' }] },
              values: { type: 'object', maxProperties: 5000, additionalProperties: { anyOf: [{ type: 'string', maxLength: 10_000 }, { type: 'null' }] } },
              optional: { type: 'boolean' },
            },
          },
        },
        { type: 'null' },
      ],
    },
    key: { anyOf: [{ type: 'array', items: name, maxItems: 5 }, { type: 'null' }] },
    existing: { enum: ['update', 'skip'] },
    missing: { enum: ['create', 'skip'] },
    rules: { enum: ['all', 'none'] },
  },
};

/** The body of PUT .../settings; what it leaves out stays as it is. */
export const IMPORT_SETTINGS_BODY = bodySchema<Partial<ImportSettings>>(SETTINGS_SCHEMA);

const PIECE_BYTES = 262_144;

/** Uploads that became jobs, until the request is answered. */
const uploads = new WeakMap<Request, Upload>();

/** Before the body is read: nobody who may not import makes us hold their files. */
function mayImport(deps: ImportRouteDeps): RequestHandler {
  return async (request, _response, next) => {
    requireImporter(await makeContext(deps, principalOf(callerOf(request)), requestIdOf(request)));
    next();
  };
}

/** Keeps a file piece by piece while it comes in; a whole file is never in memory. */
async function keepFile(upload: Upload, stream: Readable, limit: number): Promise<number> {
  let [pieces, held, size]: [Buffer[], number, number] = [[], 0, 0];
  const flush = async (): Promise<void> => {
    if (held > 0) await upload.write(Buffer.concat(pieces));
    [pieces, held] = [[], 0];
  };
  // What is too large is left to be read over, for the answer waits for the end of the form.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    size += bytes.length;
    if (size > limit) throw new AppError('payload_too_large', `A file for an import has at most ${String(Math.floor(limit / 1_000_000))} MB. Split it.`);
    pieces.push(bytes);
    held += bytes.length;
    if (held >= PIECE_BYTES) await flush();
  }
  await flush();
  return size;
}

function settingsOf(text: unknown, map: unknown): Partial<ImportSettings> {
  if (typeof text !== 'string' || text === '') return typeof map === 'string' && map !== '' ? { map } : {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AppError('bad_request', 'The part "settings" is not valid JSON.', { cause: error });
  }
  if (IMPORT_SETTINGS_BODY.validate(parsed)) return parsed;
  throw new AppError('bad_request', 'The part "settings" is not as this address expects it.', {
    errors: (IMPORT_SETTINGS_BODY.validate.errors ?? []).map((found) => ({
      pointer: `/settings${found.instancePath}`,
      code: found.keyword,
      detail: `"settings${found.instancePath}" ${found.message ?? 'is wrong'}.`,
    })),
  });
}

/** Takes the parts of an upload: `object`, and `map` or `settings`, before the `file`. */
function receive(deps: ImportRouteDeps): RequestHandler {
  const begin = async (request: Request, fileName: string): Promise<Upload> => {
    const parts: ReadonlyMap<string, unknown> = new Map(Object.entries(typeof request.body === 'object' && request.body !== null ? request.body : {}));
    const object = parts.get('object');
    if (typeof object !== 'string' || object === '') throw new AppError('bad_request', 'Say what the file holds, in a part "object" before the part "file".');
    const context = await makeContext(deps, principalOf(callerOf(request)), requestIdOf(request), request.get('change-reason'));
    return deps.imports.begin(deps.db, context, { object, fileName, settings: settingsOf(parts.get('settings'), parts.get('map')) });
  };
  const take = async (request: Request, fileName: string, stream: Readable): Promise<number> => {
    const upload = await begin(request, fileName);
    try {
      const size = await keepFile(upload, stream, deps.imports.limitBytes);
      await upload.end();
      uploads.set(request, upload);
      return size;
    } catch (error) {
      await upload.abort();
      throw error;
    }
  };
  const storage: multer.StorageEngine = {
    _handleFile: (request, file, done) => {
      const fileName = Buffer.from(file.originalname, 'latin1').toString('utf8').slice(0, 200);
      take(request, fileName, file.stream).then(
        (size) => done(null, { size }),
        (error: unknown) => {
          file.stream.resume();
          done(error);
        },
      );
    },
    _removeFile: (_request, _file, done) => done(null),
  };
  return multer({ storage, limits: { files: 1, fields: 5, fieldSize: 1_000_000 } }).single('file');
}

/** Imports as jobs: the file, what its columns are for, a check of all rows, the run, its progress, its rejected rows, its undo. */
export function importRoutes(deps: ImportRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  const { imports } = deps;
  const on = (work: (call: Call, id: string) => Promise<unknown>, status = 200): RequestHandler =>
    handle(deps, async (call): Promise<Answer> => ({ status, body: { data: await work(call, param(call.request, 'id')) } }));
  /** Work for the worker: 202, and the worker looks at once. */
  const act = (work: (call: Call, id: string) => Promise<unknown>): RequestHandler =>
    on(async (call, id) => {
      const view = await work(call, id);
      deps.worker.poke();
      return view;
    }, 202);

  router.post('/imports', mayImport(deps), receive(deps), async (request, response) => {
    const upload = uploads.get(request);
    if (upload === undefined) throw new AppError('bad_request', 'Send the file as the part "file" of a multipart/form-data body.');
    const context = await makeContext(deps, principalOf(callerOf(request)), requestIdOf(request));
    const data = await imports.get(deps.db, context, upload.id);
    deps.worker.poke();
    response
      .status(202)
      .set({ Location: `/api/v1/imports/${upload.id}`, 'Cache-Control': 'no-store' })
      .json({ data });
  });
  router.get(
    '/imports',
    on(({ db, context }) => imports.list(db, context)),
  );
  for (const path of ['/imports/:id', '/jobs/:id'])
    router.get(
      path,
      on(({ db, context }, id) => imports.get(db, context, id)),
    );
  router.get(
    '/imports/:id/preview',
    on(({ db, context }, id) => imports.preview(db, context, id)),
  );
  router.get(
    '/imports/:id/values',
    handle(deps, async ({ request, db, context }) => {
      const found = onlyParameters(request, ['column', 'field']);
      return { body: await imports.values(db, context, param(request, 'id'), found.get('column') ?? '', found.get('field') ?? null) };
    }),
  );
  router.get(
    '/imports/:id/kept',
    on(({ db, context }, id) => imports.kept(db, context, id)),
  );
  router.put(
    '/imports/:id/settings',
    jsonBody,
    on(async ({ request, db, context }, id) => imports.configure(db, context, id, readBody(request, IMPORT_SETTINGS_BODY))),
  );
  router.post(
    '/imports/:id/check',
    act(({ db, context }, id) => imports.check(db, context, id)),
  );
  router.post(
    '/imports/:id/start',
    act(({ db, context }, id) => imports.start(db, context, id)),
  );
  router.post(
    '/imports/:id/cancel',
    act(({ db, context }, id) => imports.cancel(db, context, id)),
  );
  router.post(
    '/imports/:id/undo',
    act(({ db, context }, id) => imports.undo(db, context, id)),
  );
  router.get('/imports/:id/errors', (request, response) => sendErrors(deps, request, response));
  return router;
}

async function sendErrors(deps: ImportRouteDeps, request: Request, response: Response): Promise<void> {
  const context = await makeContext(deps, principalOf(callerOf(request)), requestIdOf(request));
  const { job, text } = await deps.imports.errors(deps.db, context, param(request, 'id'));
  const ending = job.format === 'ndjson' ? 'ndjson' : 'csv';
  const fileName = `${job.fileName.replace(/\.[^.]*$/, '')}-errors.${ending}`;
  response.writeHead(200, {
    'Content-Type': ending === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson',
    'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(fileName)}`,
    'Cache-Control': 'private, no-store',
  });
  await pipeline(Readable.from(text), response);
}
