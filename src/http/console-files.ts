import { existsSync } from 'node:fs';
import { join } from 'node:path';
import express, { Router } from 'express';
import { AppError } from '../platform/errors.ts';

/** The built console at `/`; its own addresses all answer its page, and it finds its way from there. */
export function consoleRoutes(directory: string): Router {
  const router = Router();
  const page = join(directory, 'index.html');
  router.use('/assets', express.static(join(directory, 'assets'), { immutable: true, maxAge: '1y', fallthrough: false, index: false }));
  router.use(express.static(directory, { index: false, cacheControl: false }));
  router.get(/^\/(?!api\/|portal\/|assets\/)/, (request, response) => {
    if (request.accepts('html') === false) throw new AppError('not_found', 'There is nothing at this address.');
    if (!existsSync(page)) throw new AppError('not_found', 'The console is not built. Run npm run build.');
    response.set('Cache-Control', 'no-cache').sendFile(page);
  });
  return router;
}
