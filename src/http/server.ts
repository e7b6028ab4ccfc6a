import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import express, { Router, type Express, type Request, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Knex } from 'knex';
import type { Clock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import type { FileStore } from '../platform/files/types.ts';
import type { NewId } from '../platform/ids.ts';
import type { ImportJobs } from '../platform/import/jobs.ts';
import type { RandomBytes } from '../platform/ids.ts';
import type { SignIn } from '../platform/identity/sign-in.ts';
import type { Log } from '../platform/log.ts';
import type { Model } from '../platform/model/types.ts';
import type { Reader } from '../platform/query/reader.ts';
import type { TransitionStates } from '../platform/record/transition-states.sql.ts';
import type { RecordEngine } from '../platform/record/types.ts';
import { bulkRoutes } from './api/bulk.ts';
import { fileRoutes } from './api/files.ts';
import { exportRoutes } from './api/exports.ts';
import { importRoutes } from './api/imports.ts';
import { modelRoutes } from './api/model.ts';
import { recordRoutes } from './api/records.ts';
import { reportRoutes } from './api/reports.ts';
import { searchRoutes } from './api/search.ts';
import { sessionRoutes } from './api/sessions.ts';
import { userRoutes } from './api/users.ts';
import { jsonBody } from './body.ts';
import { makeCaller } from './caller.ts';
import { consoleRoutes } from './console-files.ts';
import { makeHealth } from './health.ts';
import { makePageProblemHandler, makeProblemHandler } from './problem.ts';
import { makeRequestId } from './request-id.ts';

export interface HttpDeps {
  readonly db: Knex;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random?: RandomBytes;
  readonly log: Log;
  readonly currentModel: () => Promise<Model>;
  readonly latestModel: () => Promise<Model>;
  readonly reader: Reader;
  readonly engine: RecordEngine;
  readonly transitionStates: TransitionStates;
  readonly signIn: SignIn;
  readonly files: FileStore;
  readonly imports: ImportJobs;
  /** Told that there is something to do; it looks at once when it runs in this process. */
  readonly worker: { readonly poke: () => void };
  /** Address that links start with; known for certain only once the server listens. */
  readonly publicUrl: () => string;
  /** Proxies whose X-Forwarded headers are believed, as express takes them. */
  readonly trustProxy: false | number | readonly string[];
  /** True when SMTP_URL is set: otherwise mail is kept as captured. */
  readonly sendsMail: boolean;
  readonly isSandbox: () => Promise<boolean>;
  /** Directory of the built console. */
  readonly consoleDirectory: string;
  /** More routes below /api/v1 for callers who signed in, each from its own module. */
  readonly moreApi?: readonly Router[];
  /** Server-rendered pages below /portal, and the page that says what went wrong there. */
  readonly portal?: { readonly routes: Router; readonly problemPage: (title: string, message: string, request: Request) => string };
}

/** The whole web server as one express application; it opens no port by itself. */
export function makeHttp(deps: HttpDeps): Express {
  const app = express();
  const secureCookies = deps.publicUrl().startsWith('https:');
  const identity = { clock: deps.clock, ...(deps.random === undefined ? {} : { random: deps.random }) };
  const surroundings = async (): Promise<{ mail: 'captured' | 'smtp'; sandbox: boolean }> => ({
    mail: deps.sendsMail ? 'smtp' : 'captured',
    sandbox: await deps.isSandbox(),
  });
  const warnings = (): readonly string[] => (deps.sendsMail ? [] : ['SMTP_URL is not set: mail is kept as captured and nobody receives it.']);
  const health = makeHealth({ db: deps.db, warnings });

  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.set('etag', false);
  app.set('trust proxy', deps.trustProxy);
  app.use(makeRequestId(deps.newId), health.measure, securityHeaders(secureCookies));

  const api = Router({ caseSensitive: true });
  api.use(makeCaller(deps.db, deps.signIn));
  // What is asked for most stands first.
  api.use('/records', jsonBody, recordRoutes(deps), bulkRoutes(deps));
  api.use(searchRoutes(deps));
  api.use(fileRoutes(deps));
  api.use(importRoutes(deps));
  api.use(exportRoutes(deps));
  api.use(jsonBody);
  api.use(sessionRoutes({ ...deps, identity, secureCookies, surroundings }));
  api.use('/users', userRoutes({ ...deps, identity }));
  api.use(modelRoutes(deps));
  api.use(reportRoutes(deps));
  for (const more of deps.moreApi ?? []) api.use(more);
  app.use('/api/v1', api);
  app.use(health.routes);
  app.use('/api', () => {
    throw new AppError('not_found', 'There is nothing at this address. GET /api/v1/openapi.json lists what there is.');
  });
  if (deps.portal !== undefined) app.use('/portal', deps.portal.routes, makePageProblemHandler(deps.log, deps.portal.problemPage));
  app.use(consoleRoutes(deps.consoleDirectory));
  app.use(() => {
    throw new AppError('not_found', 'There is nothing at this address.');
  });
  app.use(makeProblemHandler(deps.log));
  return app;
}

/** The headers of helmet on every answer. They are always the same, so they are made once. */
function securityHeaders(isSecure: boolean): RequestHandler {
  const request = new IncomingMessage(new Socket());
  const sample = new ServerResponse(request);
  helmetFor(isSecure)(request, sample, (error: unknown) => {
    if (error !== undefined) throw error instanceof Error ? error : new AppError('internal', 'The security headers cannot be made.', { cause: error });
  });
  const headers = Object.entries(sample.getHeaders()).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return (_request, response, next) => {
    for (const [name, value] of headers) response.setHeader(name, value);
    next();
  };
}

function helmetFor(isSecure: boolean): ReturnType<typeof helmet> {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // Mantine sets its variables in style elements and attributes; scripts are files of ours only.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        ...(isSecure ? { upgradeInsecureRequests: [] } : {}),
      },
    },
    strictTransportSecurity: isSecure,
    referrerPolicy: { policy: 'same-origin' }, // invitation and portal addresses hold secrets
  });
}
