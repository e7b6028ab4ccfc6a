import { Router } from 'express';
import { mayRunAction } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { isUuid } from '../../platform/ids.ts';
import { ADMINISTRATOR, addUser, changeUser, invite, listUsers, userById, type IdentityContext } from '../../platform/identity/users.ts';
import type { UserAccount, UserStatus } from '../../platform/identity/identity.sql.ts';
import { actorOf } from '../../platform/record/actor.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, ifMatch, param, type Answer, type Call, type CallDeps } from '../call.ts';

export interface UserRouteDeps extends CallDeps {
  readonly identity: IdentityContext;
  readonly publicUrl: () => string;
}

const text = { type: 'string', maxLength: 300 };
const sets = { type: 'array', items: { type: 'string' }, maxItems: 50, uniqueItems: true };

export const NEW_USER_BODY = bodySchema<{
  readonly email: string;
  readonly name: string;
  readonly permissionSets: readonly string[];
  readonly password?: string;
}>({
  type: 'object',
  additionalProperties: false,
  required: ['email', 'name', 'permissionSets'],
  properties: { email: text, name: text, permissionSets: sets, password: text },
});

export const USER_CHANGE_BODY = bodySchema<{
  readonly name?: string;
  readonly status?: Exclude<UserStatus, 'invited'>;
  readonly permissionSets?: readonly string[];
}>({
  type: 'object',
  additionalProperties: false,
  properties: { name: text, status: { enum: ['active', 'suspended'] }, permissionSets: sets },
});

/** Accounts, for those who may manage them (action `users`). */
export function userRoutes(deps: UserRouteDeps): Router {
  const router = Router();
  const { identity } = deps;
  router.get(
    '/',
    handle(deps, async ({ db, context }) => {
      requireManager(context);
      return { body: { data: await listUsers(db) } };
    }),
  );
  router.get(
    '/:id',
    handle(deps, async (call) => {
      requireManager(call.context);
      return answer(await found(call));
    }),
  );
  router.post(
    '/',
    handle(deps, async ({ request, db, context }) => {
      requireManager(context);
      const wanted = readBody(request, NEW_USER_BODY);
      requireOwnSets(context, wanted.permissionSets);
      const added = await inTransaction(db, (tx) => addUser(tx, identity, wanted, knownSets(context), actorOf(context.principal)));
      const link = added.invitation === null ? {} : { invitation: `${deps.publicUrl()}/invitation/${added.invitation}` };
      return {
        status: 201,
        body: { data: { ...added.user, ...link } },
        version: 1,
        location: `/api/v1/users/${added.user.id}`,
        isSecret: added.invitation !== null,
      };
    }),
  );
  router.patch(
    '/:id',
    handle(deps, async (call) => {
      requireManager(call.context);
      const current = await found(call);
      const change = readBody(call.request, USER_CHANGE_BODY);
      requireOwnSets(call.context, [...(change.permissionSets ?? []), ...current.permissionSets]);
      const version = ifMatch(call.request);
      return answer(
        await inTransaction(call.db, (tx) => changeUser(tx, identity, current.id, version, change, knownSets(call.context), actorOf(call.context.principal))),
      );
    }),
  );
  router.post(
    '/:id/invitation',
    handle(deps, async (call) => {
      requireManager(call.context);
      const user = await found(call);
      requireOwnSets(call.context, user.permissionSets);
      const secret = await inTransaction(call.db, (tx) => invite(tx, identity, user.id));
      return { status: 201, body: { data: { invitation: `${deps.publicUrl()}/invitation/${secret}` } }, isSecret: true };
    }),
  );
  return router;
}

/** Names of the permission sets that accounts may hold. */
export function knownSets(context: CallContext): ReadonlySet<string> {
  const staff = [...context.model.permissions.values()].filter((file) => file.audience === 'staff').map((file) => file.name);
  return new Set([ADMINISTRATOR, ...staff]);
}

function requireManager(context: CallContext): void {
  if (!mayRunAction(context, 'users')) throw new AppError('forbidden', 'Only those who manage users may do this.');
}

/** Only an administrator makes, changes or invites administrators: nobody gives themselves more than they have. */
function requireOwnSets(context: CallContext, wanted: readonly string[]): void {
  const own = context.principal.kind === 'user' ? context.principal.permissionSets : [];
  const beyond = wanted.filter((name) => !own.includes(name));
  if (own.includes(ADMINISTRATOR) || beyond.length === 0) return;
  throw new AppError('forbidden', `You may give only permission sets that you hold yourself, not ${beyond.join(', ')}.`);
}

async function found({ request, db }: Call): Promise<UserAccount> {
  const id = param(request, 'id');
  const user = isUuid(id) ? await userById(db, id) : null;
  if (user === null) throw new AppError('not_found', 'There is no such user.');
  return user;
}

function answer(user: UserAccount): Answer {
  return { body: { data: user }, version: user.version };
}
