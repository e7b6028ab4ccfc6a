import type { Request, RequestHandler, Response } from 'express';
import { AppError } from '../../platform/errors.ts';
import type { PortalLink } from '../../platform/identity/portal-link.sql.ts';
import { findPortalLink, linkPrincipal, unknownLink, usePortalLink } from '../../platform/identity/portal-links.ts';
import { isUuid } from '../../platform/ids.ts';
import { requestIdOf } from '../request-id.ts';
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

/** Keeps the link's secret in a cookie of this portal, so that addresses that are shared or logged hold no secret. */
export function rememberLink(response: Response, linkId: string, secret: string, expiresAt: string, secure: boolean): void {
  response.cookie(`${PREFIX}${linkId}`, secret, { httpOnly: true, sameSite: 'lax', secure, path: '/portal', expires: new Date(expiresAt) });
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

/** The link behind a secret. Secrets that are none are counted against the address. @throws AppError not_found, too_many_requests */
export async function openLink(deps: PortalDeps, request: Request, secret: string, now: string): Promise<PortalLink> {
  const address = request.ip ?? '';
  deps.wrongSecrets.admit(address, secret);
  const link = await findPortalLink(deps.db, secret);
  if (link === null) throw unknownLink();
  deps.wrongSecrets.known(address, secret);
  return usePortalLink(deps.db, link, now);
}

/** The call through the link that the address names, by the secret that this browser holds. @throws AppError not_found, too_many_requests */
export async function linkCallOf(deps: PortalDeps, request: Request): Promise<LinkCall> {
  const linkId = String(request.params['link']);
  const probe = await deps.contextFor({ kind: 'guest' }, requestIdOf(request));
  const link = await openLink(deps, request, secretOf(request, linkId), probe.now);
  if (link.id !== linkId || !link.purpose.startsWith('form:')) throw new AppError('not_found', 'This link does not open a form.');
  return { link, form: link.purpose.slice('form:'.length), context: { ...probe, principal: linkPrincipal(link) }, base: `/portal/${linkId}` };
}

/** Lets a body be read only from our own pages and for a link that is good: nobody else makes us hold their files. */
export function knownLink(deps: PortalDeps): RequestHandler {
  return async (request, _response, next) => {
    requireSameOrigin(request);
    await linkCallOf(deps, request);
    next();
  };
}
