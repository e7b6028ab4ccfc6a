import type { Knex } from 'knex';
import type { Clock, Instant } from '../clock.ts';
import { sqlState, SQLSTATE } from '../db.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import { newSecret, uuidV7, type RandomBytes } from '../ids.ts';
import {
  allUsers,
  auditIdentity,
  deleteInvitationsOf,
  deleteSessionsOf,
  hasActiveHolderOf,
  insertUser,
  invitedUser,
  lockInvitation,
  replaceInvitation,
  updateUser,
  useInvitation,
  userByEmail,
  userById,
  type UserAccount,
  type UserChange,
} from './identity.sql.ts';
import { hashPassword } from './passwords.ts';
import { hashSecret } from './secrets.ts';

/** Members of this set may do everything. */
export const ADMINISTRATOR = 'administrator';

const INVITATION_DAYS = 7;
const DAY_MS = 86_400_000;

export interface IdentityContext {
  readonly clock: Clock;
  readonly random?: RandomBytes;
}

export interface NewUser {
  readonly email: string;
  readonly name: string;
  readonly permissionSets: readonly string[];
  readonly password?: string;
}

/** One way to write an address: trimmed, lower case. */
export function normaliseEmail(text: string): string {
  return text.trim().toLowerCase();
}

function checkUser(
  user: { readonly email?: string; readonly name?: string; readonly permissionSets?: readonly string[] },
  knownSets: ReadonlySet<string>,
): void {
  const errors: ErrorDetail[] = [];
  if (user.email !== undefined && !/^[^\s@]{1,64}@[^\s@]+\.[^\s@.]+$/.test(user.email)) {
    errors.push({ pointer: '/email', code: 'format', detail: 'This is not an e-mail address.', fix: 'Write it like name@plan.example.' });
  }
  if (user.name !== undefined && user.name.trim() === '') errors.push({ pointer: '/name', code: 'required', detail: 'A name is needed.' });
  user.permissionSets?.forEach((name, index) => {
    if (!knownSets.has(name)) {
      errors.push({
        pointer: `/permissionSets/${String(index)}`,
        code: 'unknown',
        detail: `There is no permission set '${name}'.`,
        fix: `Known: ${[...knownSets].join(', ')}.`,
      });
    }
  });
  if (errors.length > 0) throw new AppError('validation_failed', errors.map((entry) => entry.detail).join(' '), { errors });
}

/**
 * Adds an account; without a password it is invited and the answer holds the invitation's secret, which is stored nowhere. Writes.
 * @throws AppError validation_failed, conflict_unique (address in use)
 */
export async function addUser(
  tx: Knex.Transaction,
  context: IdentityContext,
  user: NewUser,
  knownSets: ReadonlySet<string>,
  by: string,
): Promise<{ readonly user: UserAccount; readonly invitation: string | null }> {
  const email = normaliseEmail(user.email);
  checkUser({ ...user, email }, knownSets);
  const passwordHash = user.password === undefined ? null : await hashPassword(user.password);
  const now = context.clock.now();
  const account: UserAccount = {
    id: uuidV7(context.clock.nowMs(), context.random),
    version: 1,
    email,
    name: user.name.trim(),
    status: passwordHash === null ? 'invited' : 'active',
    permissionSets: user.permissionSets,
  };
  await insertUser(tx, { ...account, passwordHash }, now, by).catch(translateUnique);
  await auditIdentity(tx, { at: now, actor: by, action: 'user-added', userId: account.id });
  return { user: account, invitation: passwordHash === null ? await invite(tx, context, account.id) : null };
}

/** Changes name, status or permission sets; ends the sessions and open invitations of a suspended account. Writes. @throws AppError not_found, conflict_version, validation_failed */
export async function changeUser(
  tx: Knex.Transaction,
  context: IdentityContext,
  id: string,
  version: number,
  change: Pick<UserChange, 'name' | 'status' | 'permissionSets'>,
  knownSets: ReadonlySet<string>,
  by: string,
): Promise<UserAccount> {
  checkUser(change, knownSets);
  const current = await userById(tx, id);
  if (current === null) throw new AppError('not_found', 'There is no such user.');
  const now = context.clock.now();
  if (!(await updateUser(tx, id, version, change, now, by))) {
    throw new AppError('conflict_version', `Somebody changed this user since version ${String(version)}.`, { extra: { current } });
  }
  if (change.status === 'suspended') {
    await deleteSessionsOf(tx, id);
    await deleteInvitationsOf(tx, id);
  }
  await auditIdentity(tx, { at: now, actor: by, action: 'user-changed', userId: id });
  const changed = await userById(tx, id);
  if (changed === null) throw new AppError('not_found', 'There is no such user.');
  return changed;
}

function translateUnique(error: unknown): never {
  if (sqlState(error) !== SQLSTATE.uniqueViolation) throw error;
  throw new AppError('conflict_unique', 'There is an account with this address.', {
    errors: [{ pointer: '/email', code: 'unique', detail: 'There is an account with this address.' }],
    cause: error,
  });
}

/** Makes a new invitation for an account; earlier open ones end. Answers its secret. Writes. @throws AppError conflict_state for a suspended account */
export async function invite(tx: Knex.Transaction, context: IdentityContext, userId: string): Promise<string> {
  if ((await userById(tx, userId))?.status === 'suspended') {
    throw new AppError('conflict_state', 'This account is suspended. Make it active before you invite its owner.');
  }
  const secret = newSecret(context.random);
  const expiresAt = new Date(context.clock.nowMs() + INVITATION_DAYS * DAY_MS).toISOString();
  await replaceInvitation(tx, userId, hashSecret(secret), expiresAt);
  return secret;
}

/** Who an invitation is for. @throws AppError not_found when it is unknown, used or expired */
export async function readInvitation(db: Knex, clock: Clock, secret: string): Promise<UserAccount> {
  const user = await invitedUser(db, hashSecret(secret), clock.now());
  if (user === null) throw new AppError('not_found', 'This invitation is not known, was used, or has expired. Ask an administrator for a new one.');
  return user;
}

/** Takes an invitation: sets the password (and, if given, name and address) and makes the account active. Writes. */
export async function acceptInvitation(
  tx: Knex.Transaction,
  context: IdentityContext,
  secret: string,
  answer: { readonly password: string; readonly name?: string; readonly email?: string },
): Promise<UserAccount> {
  const now: Instant = context.clock.now();
  const invitation = await lockInvitation(tx, hashSecret(secret));
  const invited = invitation === null ? null : await userById(tx, invitation.userId);
  if (invitation === null || invited === null || invited.status === 'suspended' || invitation.expiresAt <= now) {
    throw new AppError('not_found', 'This invitation is not known, was used, or has expired. Ask an administrator for a new one.');
  }
  const passwordHash = await hashPassword(answer.password);
  const email = answer.email === undefined ? {} : { email: normaliseEmail(answer.email) };
  const name = answer.name === undefined ? {} : { name: answer.name.trim() };
  checkUser({ ...email, ...name }, new Set());
  await updateUser(tx, invitation.userId, null, { ...email, ...name, passwordHash, status: 'active' }, now, invitation.userId).catch(translateUnique);
  await useInvitation(tx, hashSecret(secret), now);
  // Whoever was signed in with the old password is not the one who holds the invitation.
  await deleteSessionsOf(tx, invitation.userId);
  await auditIdentity(tx, { at: now, actor: invitation.userId, action: 'invitation-accepted', userId: invitation.userId });
  const user = await userById(tx, invitation.userId);
  if (user === null) throw new AppError('not_found', 'The account of this invitation is gone.');
  return user;
}

/**
 * While nobody can sign in as administrator: an invitation for the first one (each call ends the one before), else null. Writes.
 * @param email address of the account until its owner gives another
 */
export async function inviteFirstAdministrator(tx: Knex.Transaction, context: IdentityContext, email: string): Promise<string | null> {
  if (await hasActiveHolderOf(tx, ADMINISTRATOR)) return null;
  const invited = await userByEmail(tx, email);
  if (invited !== null) {
    // Nobody else could make this account active again.
    if (invited.status === 'suspended') await updateUser(tx, invited.id, null, { status: 'invited' }, context.clock.now(), 'system:setup');
    return invite(tx, context, invited.id);
  }
  const added = await addUser(tx, context, { email, name: 'Administrator', permissionSets: [ADMINISTRATOR] }, new Set([ADMINISTRATOR]), 'system:setup');
  return added.invitation;
}

export { allUsers as listUsers, userByEmail, userById };
