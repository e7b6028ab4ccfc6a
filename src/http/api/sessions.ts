import { Router, type Request, type RequestHandler, type Response } from 'express';
import { inTransaction } from '../../platform/db.ts';
import { acceptInvitation, readInvitation, type IdentityContext } from '../../platform/identity/users.ts';
import type { NewSession, SignIn } from '../../platform/identity/sign-in.ts';
import { bodySchema, readBody } from '../body.ts';
import { callerOf, clearSessionCookie, sessionSecretOf, setSessionCookie } from '../caller.ts';
import { handle, param, type CallDeps } from '../call.ts';

export interface SessionRouteDeps extends CallDeps {
  readonly signIn: SignIn;
  readonly identity: IdentityContext;
  readonly secureCookies: boolean;
  /** Whether mail leaves the building, and whether this database is a sandbox: the console says so. */
  readonly surroundings: () => Promise<{ readonly mail: 'captured' | 'smtp'; readonly sandbox: boolean }>;
}

const text = { type: 'string', maxLength: 300 };

export const SIGN_IN_BODY = bodySchema<{ readonly email: string; readonly password: string }>({
  type: 'object',
  additionalProperties: false,
  required: ['email', 'password'],
  properties: { email: text, password: text },
});

export const ACCEPT_BODY = bodySchema<{ readonly secret: string; readonly password: string; readonly name?: string; readonly email?: string }>({
  type: 'object',
  additionalProperties: false,
  required: ['secret', 'password'],
  properties: { secret: text, password: text, name: text, email: text },
});

export const TOKEN_BODY = bodySchema<{ readonly name: string; readonly expiresAt?: string }>({
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 100 },
    expiresAt: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{3})?Z$' },
  },
});

/** Signing in and out, the caller's own data and tokens, invitations. */
export function sessionRoutes(deps: SessionRouteDeps): Router {
  const router = Router();
  const { db, signIn } = deps;

  router.post('/sign-in', async (request, response) => {
    const { email, password } = readBody(request, SIGN_IN_BODY);
    answerSession(deps, response, await signIn.withPassword(db, email, password, request.get('user-agent') ?? null));
  });
  router.post('/sign-out', async (request, response) => {
    const secret = sessionSecretOf(request);
    if (secret !== null) await inTransaction(db, (tx) => signIn.signOut(tx, secret));
    clearSessionCookie(response, deps.secureCookies);
    response.status(204).end();
  });
  router.get('/session', showSession(deps));
  router.get('/me', showSession(deps));
  router.get('/invitations/:secret', async (request, response) => {
    const user = await readInvitation(db, deps.clock, param(request, 'secret'));
    response.json({ data: { email: user.email, name: user.name } });
  });
  router.post('/invitations/accept', async (request, response) => {
    const { secret, ...answer } = readBody(request, ACCEPT_BODY);
    const session = await inTransaction(db, async (tx) =>
      signIn.open(tx, await acceptInvitation(tx, deps.identity, secret, answer), request.get('user-agent') ?? null),
    );
    answerSession(deps, response, session);
  });
  router.post(
    '/tokens',
    handle(deps, async ({ request, db: handle }) => {
      const { name, expiresAt } = readBody(request, TOKEN_BODY);
      const userId = callerOf(request).user.id;
      return { status: 201, body: { data: await inTransaction(handle, (tx) => signIn.createToken(tx, userId, name, expiresAt ?? null)) }, isSecret: true };
    }),
  );
  router.delete(
    '/tokens/:id',
    handle(deps, async ({ request, db: handle }) => {
      await inTransaction(handle, (tx) => signIn.revokeToken(tx, callerOf(request).user.id, param(request, 'id')));
      return { status: 204 };
    }),
  );
  return router;
}

function answerSession(deps: SessionRouteDeps, response: Response, session: NewSession): void {
  setSessionCookie(response, session, deps.secureCookies);
  const { id, name, email, permissionSets } = session.user;
  response.set('Cache-Control', 'no-store').json({ data: { user: { id, name, email }, permissionSets, csrf: session.csrf, expiresAt: session.expiresAt } });
}

function showSession(deps: SessionRouteDeps): RequestHandler {
  return async (request: Request, response: Response) => {
    const caller = callerOf(request);
    const { id, name, email, permissionSets } = caller.user;
    const surroundings = await deps.surroundings();
    response
      .set('Cache-Control', 'no-store')
      .json({ data: { user: { id, name, email }, permissionSets, csrf: caller.csrf ?? '', expiresAt: caller.expiresAt, ...surroundings } });
  };
}
