import type { Request, RequestHandler, Response } from 'express';
import { AppError, isAppError } from '../../platform/errors.ts';
import type { PortalLink } from '../../platform/identity/portal-link.sql.ts';
import { findPortalLink, linkPrincipal, unknownLink, usePortalLink } from '../../platform/identity/portal-links.ts';
import { isUuid } from '../../platform/ids.ts';
import { requestIdOf } from '../request-id.ts';
import { answersOnly, plainForm } from './read-form.ts';
import type { LinkCall, PortalDeps } from './types.ts';

const PREFIX = 'credenza_link_';

function cookies(request: Request): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const at = part.indexOf('=');
    if (at > 0) found.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  return found;
}

/** So long after its end a link is still told from one that this browser does not know. */
const REMEMBERED_MS = 90 * 86_400_000;

/** Keeps the link's secret in a cookie of this portal, so that addresses that are shared or logged hold no secret. */
export function rememberLink(response: Response, linkId: string, secret: string, expiresAt: string, secure: boolean): void {
  const expires = new Date(Date.parse(expiresAt) + REMEMBERED_MS);
  response.cookie(`${PREFIX}${linkId}`, secret, { httpOnly: true, sameSite: 'lax', secure, path: '/portal', expires });
}

/** The secret that this browser holds for a link. @throws AppError not_found, with what to do */
export function secretOf(request: Request, linkId: string): string {
  const secret = isUuid(linkId) ? cookies(request).get(`${PREFIX}${linkId}`) : undefined;
  if (secret === undefined) throw new AppError('not_found', 'Open the link in our mail once more: this browser does not know it yet.');
  return secret;
}

/** A form may be posted from our own pages only. Browsers without `Origin` and `Sec-Fetch-Site` are held by the cookie's SameSite rule. */
export function requireSameOrigin(request: Request): void {
  const site = request.headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return;
  throw new AppError('forbidden', 'This form can only be sent from its own page. Open the link in our mail again.');
}

/** The link behind a secret, good or ended. Secrets that are none are counted against the address. @throws AppError not_found, too_many_requests */
async function findLink(deps: PortalDeps, request: Request, secret: string): Promise<PortalLink> {
  const address = request.ip ?? '';
  deps.wrongSecrets.admit(address, secret);
  const link = await findPortalLink(deps.db, secret);
  if (link === null) throw unknownLink();
  deps.wrongSecrets.known(address, secret);
  return link;
}

/** The link behind a secret. @throws AppError not_found when there is none or it has ended, too_many_requests */
export async function openLink(deps: PortalDeps, request: Request, secret: string, now: string): Promise<PortalLink> {
  return usePortalLink(deps.db, await findLink(deps, request, secret), now);
}

/** The call through the link that the address names, by the secret that this browser holds. @throws AppError not_found, too_many_requests */
export async function linkCallOf(deps: PortalDeps, request: Request): Promise<LinkCall> {
  const linkId = String(request.params['link']);
  const probe = await deps.contextFor({ kind: 'guest' }, requestIdOf(request));
  const link = await openLink(deps, request, secretOf(request, linkId), probe.now);
  if (link.id !== linkId || !link.purpose.startsWith('form:')) throw new AppError('not_found', 'This link does not open a form.');
  return { link, form: link.purpose.slice('form:'.length), context: { ...probe, principal: linkPrincipal(link) }, base: `/portal/${linkId}` };
}

/**
 * Reads a form from our own pages only, and through a link that is good: nobody else makes us hold their files. Of a form that
 * comes through a link that has ended since, or while the database is away, the answers are read, for the page that refuses them
 * to give back.
 */
export function readThroughLink(deps: PortalDeps, read: RequestHandler): RequestHandler {
  const readAnswers = read === plainForm ? plainForm : answersOnly;
  return async (request, response, next) => {
    requireSameOrigin(request);
    const linkId = String(request.params['link']);
    const refused = await linkCallOf(deps, request).then(
      () => null,
      async (error: unknown) => {
        const isKnown = !isAppError(error) || (isAppError(error, 'not_found') && (await findLink(deps, request, secretOf(request, linkId))).id === linkId);
        if (!isKnown) throw error;
        return error;
      },
    );
    if (refused === null) await read(request, response, next);
    else await readAnswers(request, response, (error: unknown) => next(error ?? refused));
  };
}
