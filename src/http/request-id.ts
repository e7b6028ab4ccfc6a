import type { Request, RequestHandler } from 'express';
import type { NewId } from '../platform/ids.ts';

const ids = new WeakMap<Request, string>();

/** Gives each request an id (the caller's own `X-Request-Id` if it is harmless) and answers it. */
export function makeRequestId(newId: NewId): RequestHandler {
  return (request, response, next) => {
    const given = request.get('x-request-id');
    const id = given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : newId();
    ids.set(request, id);
    response.set('X-Request-Id', id);
    next();
  };
}

/** The id of a request. */
export function requestIdOf(request: Request): string {
  return ids.get(request) ?? 'unknown';
}
