import { join } from 'node:path';
import { Router, type Request, type Response } from 'express';
import { AppError } from '../../platform/errors.ts';
import { packageRoot } from '../../platform/root.ts';
import { requestIdOf } from '../request-id.ts';
import { addFormRoutes } from './form-routes.ts';
import { openLink, rememberLink } from './links.ts';
import { plainForm, typedIn } from './read-form.ts';
import type { Renderer } from './render.ts';
import { addSignRoutes } from './sign-routes.ts';
import type { PortalDeps } from './types.ts';

/** The page that says what went wrong, and gives back what was typed into the form that could not be taken. */
export function makeProblemPage(render: Renderer): (title: string, message: string, request: Request) => string {
  return (title, message, request) => render.page('message', { title, message, action: null, actionLabel: null, typed: typedIn(request) });
}

/** Pages for people outside the plan: personal links, forms, signing, unsubscribing. They work without script. */
export function makePortalRoutes(deps: PortalDeps): Router {
  const router = Router();
  const asset = (file: string) => (_request: Request, response: Response) =>
    response.sendFile(join(packageRoot(), 'templates', 'portal', file), { maxAge: '1h' });

  // Pages hold what people typed: no cache that others share keeps them.
  router.use((_request, response, next) => {
    response.setHeader('Cache-Control', 'private, no-cache');
    next();
  });
  router.get('/assets/portal.css', asset('portal.css'));
  router.get('/assets/portal.js', asset('portal.js'));

  router.get('/unsubscribe/:token', (request, response) => {
    const action = `/portal/unsubscribe/${encodeURIComponent(request.params.token)}`;
    response.send(
      deps.render.page('message', {
        title: 'Stop these mails',
        message: 'Press the button and we will not write to this address about joining our network again.',
        action,
        actionLabel: 'Stop these mails',
        typed: [],
      }),
    );
  });
  router.post('/unsubscribe/:token', plainForm, async (request, response) => {
    if (!(await deps.unsubscribe(String(request.params['token']))))
      throw new AppError('not_found', 'This link is not known. Write to us and we will take you off the list.');
    response.send(
      deps.render.page('message', {
        title: 'Done',
        message: 'We will not write to this address about joining our network again.',
        action: null,
        actionLabel: null,
        typed: [],
      }),
    );
  });

  router.get('/start/:secret', async (request, response) => {
    const { now } = await deps.contextFor({ kind: 'guest' }, requestIdOf(request));
    const link = await openLink(deps, request, request.params.secret, now);
    rememberLink(response, link.id, request.params.secret, link.expiresAt, deps.secureCookies);
    response.redirect(303, `/portal/${link.id}`);
  });

  addFormRoutes(router, deps);
  addSignRoutes(router, deps);
  return router;
}
