import { join } from 'node:path';
import { Router, type Request, type Response } from 'express';
import { AppError } from '../../platform/errors.ts';
import { packageRoot } from '../../platform/root.ts';
import { requestIdOf } from '../request-id.ts';
import { addFormRoutes } from './form-routes.ts';
import { openLink, rememberLink } from './links.ts';
import { plainForm } from './read-form.ts';
import { addSignRoutes } from './sign-routes.ts';
import type { PortalDeps } from './types.ts';

/** Pages for people outside the plan: personal links, forms, signing, unsubscribing. They work without script. */
export function makePortalRoutes(deps: PortalDeps): Router {
  const router = Router();
  const asset = (file: string) => (_request: Request, response: Response) =>
    response.sendFile(join(packageRoot(), 'templates', 'portal', file), { maxAge: '1h' });

  router.get('/assets/portal.css', asset('portal.css'));
  router.get('/assets/portal.js', asset('portal.js'));

  router.get('/unsubscribe/:token', (request, response) => {
    const action = `/portal/unsubscribe/${encodeURIComponent(request.params.token)}`;
    response.send(
      deps.render('message', {
        title: 'Stop these mails',
        message: 'Press the button and we will not write to this address about joining our network again.',
        action,
        actionLabel: 'Stop these mails',
      }),
    );
  });
  router.post('/unsubscribe/:token', plainForm, async (request, response) => {
    if (!(await deps.unsubscribe(String(request.params['token']))))
      throw new AppError('not_found', 'This link is not known. Write to us and we will take you off the list.');
    response.send(
      deps.render('message', { title: 'Done', message: 'We will not write to this address about joining our network again.', action: null, actionLabel: null }),
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
