import { timingSafeEqual } from 'node:crypto';
import type { CookieOptions, Request, RequestHandler, Response } from 'express';
import type { Knex } from 'knex';
import type { Principal } from '../platform/access/types.ts';
import { AppError } from '../platform/errors.ts';
import type { Caller, NewSession, SignIn } from '../platform/identity/sign-in.ts';

const COOKIE = 'credenza_session';
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

const callers = new WeakMap<Request, Caller>();

/**
 * Finds out who calls: `Authorization: Bearer` or the session cookie. A cookie's caller must send its CSRF token with
 * everything that changes something, for browsers send cookies on behalf of other pages too.
 */
export function makeCaller(db: Knex, signIn: SignIn): RequestHandler {
  return async (request, _response, next) => {
    const bearer = bearerOf(request);
    const secret = sessionSecretOf(request);
    if (bearer !== null) {
      const caller = await signIn.byToken(db, bearer);
      if (caller === null) throw new AppError('unauthenticated', 'This API token is not known, was revoked, or has expired.');
      callers.set(request, caller);
    } else if (secret !== null) {
      const caller = await signIn.bySession(db, secret);
      if (caller !== null) {
        if (!SAFE.has(request.method)) requireCsrf(request, caller);
        callers.set(request, caller);
      }
    }
    next();
  };
}

function bearerOf(request: Request): string | null {
  const header = request.get('authorization');
  if (header === undefined) return null;
  const match = /^Bearer ([\w.~+/-]+=*)$/i.exec(header);
  if (match?.[1] === undefined) throw new AppError('unauthenticated', 'Send the token as "Authorization: Bearer TOKEN".');
  return match[1];
}

function requireCsrf(request: Request, caller: Caller): void {
  const sent = Buffer.from(request.get('x-csrf-token') ?? '');
  const wanted = Buffer.from(caller.csrf ?? '');
  if (wanted.length === 0 || sent.length !== wanted.length || !timingSafeEqual(sent, wanted)) {
    throw new AppError('forbidden', 'The header X-CSRF-Token is missing or wrong; GET /api/v1/session tells it.');
  }
}

/** The secret of the session cookie, or null. */
export function sessionSecretOf(request: Request): string | null {
  const found = (request.headers.cookie ?? '').split(';').find((part) => part.trim().startsWith(`${COOKIE}=`));
  return found === undefined ? null : found.trim().slice(COOKIE.length + 1);
}

/** Who calls. @throws AppError unauthenticated */
export function callerOf(request: Request): Caller {
  const caller = callers.get(request);
  if (caller === undefined) throw new AppError('unauthenticated', 'Sign in, or send an API token.');
  return caller;
}

export function principalOf(caller: Caller): Principal {
  const { id, permissionSets, email, name } = caller.user;
  return { kind: 'user', userId: id, permissionSets, email, name };
}

const cookieOptions = (secure: boolean): CookieOptions => ({ httpOnly: true, sameSite: 'lax', secure, path: '/' });

export function setSessionCookie(response: Response, session: NewSession, secure: boolean): void {
  response.cookie(COOKIE, session.secret, { ...cookieOptions(secure), expires: new Date(session.expiresAt) });
}

export function clearSessionCookie(response: Response, secure: boolean): void {
  response.clearCookie(COOKIE, cookieOptions(secure));
}
