import type { Request, Response } from 'express';
import { AppError } from '../../platform/errors.ts';
import { isUuid } from '../../platform/ids.ts';

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
