import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { isUuid, newSecret, uuidV7 } from '../ids.ts';
import {
  auditIdentity,
  deleteSession,
  forgetAttempts,
  insertSession,
  insertToken,
  noteAttempt,
  revokeTokenById,
  sessionByHash,
  tokenByHash,
  userByEmail,
  type SessionRow,
  type TokenRow,
  type UserAccount,
} from './identity.sql.ts';
import { verifyPassword } from './passwords.ts';
import { hashSecret } from './secrets.ts';
import { normaliseEmail, type IdentityContext } from './users.ts';

const TRIES = 10;
const WINDOW_MS = 15 * 60_000;
const SESSION_MS = 12 * 3_600_000;
const CACHE_MS = 1_000;
const CACHE_SIZE = 2_000;

export interface NewSession {
  readonly secret: string;
  readonly csrf: string;
  readonly expiresAt: string;
  readonly user: UserAccount;
}

/** Who calls and by what. `csrf` is null for tokens, which browsers never send by themselves. */
export interface Caller {
  readonly user: UserAccount;
  readonly csrf: string | null;
  readonly expiresAt: string | null;
}

export interface SignIn {
  /** @throws AppError unauthenticated, too_many_requests (10 tries an account in 15 minutes) */
  withPassword(db: Knex, email: string, password: string, userAgent: string | null): Promise<NewSession>;
  /** A session for somebody who just proved who they are by other means (an invitation). Writes. */
  open(tx: Knex.Transaction, user: UserAccount, userAgent: string | null): Promise<NewSession>;
  bySession(db: Knex, secret: string): Promise<Caller | null>;
  byToken(db: Knex, secret: string): Promise<Caller | null>;
  signOut(tx: Knex.Transaction, secret: string): Promise<void>;
  createToken(tx: Knex.Transaction, userId: string, name: string, expiresAt: string | null): Promise<{ readonly id: string; readonly token: string }>;
  revokeToken(tx: Knex.Transaction, userId: string, id: string): Promise<void>;
}

/** Sessions and tokens. What was resolved is remembered for at most a second, so a revocation works within one. */
export function makeSignIn(context: IdentityContext): SignIn {
  const { clock } = context;
  const sessions = makeCache<SessionRow>(clock);
  const tokens = makeCache<{ readonly user: UserAccount; readonly expiresAt: string | null }>(clock);

  const open = async (tx: Knex.Transaction, user: UserAccount, userAgent: string | null): Promise<NewSession> => {
    const secret = newSecret(context.random);
    const csrf = newSecret(context.random);
    const expiresAt = new Date(clock.nowMs() + SESSION_MS).toISOString();
    const at = clock.now();
    await insertSession(tx, { secretHash: hashSecret(secret), userId: user.id, csrf, at, expiresAt, userAgent: userAgent?.slice(0, 300) ?? null });
    await auditIdentity(tx, { at, actor: user.id, action: 'signed-in', userId: user.id });
    return { secret, csrf, expiresAt, user };
  };

  return {
    open,
    async withPassword(db, email, password, userAgent) {
      const address = normaliseEmail(email);
      const account = createHash('sha256').update(address).digest('hex'); // people type passwords into this field
      await throttle(db, clock, account);
      const found = await userByEmail(db, address);
      const right = await verifyPassword(found?.status === 'active' ? found.passwordHash : null, password);
      if (found === null || !right) {
        await auditIdentity(db, { at: clock.now(), actor: 'guest', action: 'sign-in-failed', userId: found?.id ?? null });
        throw new AppError('unauthenticated', 'This address and password do not belong together.');
      }
      const { id, version, name, status, permissionSets } = found;
      const user: UserAccount = { id, version, email: address, name, status, permissionSets };
      return inTransaction(db, async (tx) => {
        await forgetAttempts(tx, account);
        return open(tx, user, userAgent);
      });
    },
    async bySession(db, secret) {
      const found = await sessions.get(secret, (hash) => sessionByHash(db, hash));
      return found === null || found.expiresAt <= clock.now() ? null : found;
    },
    async byToken(db, secret) {
      const found = await tokens.get(secret, (hash) => tokenByHash(db, hash));
      if (found === null || (found.expiresAt !== null && found.expiresAt <= clock.now())) return null;
      return { user: found.user, csrf: null, expiresAt: found.expiresAt };
    },
    async signOut(tx, secret) {
      await deleteSession(tx, hashSecret(secret));
      sessions.forget(secret);
    },
    async createToken(tx, userId, name, expiresAt) {
      const token = `crz_${newSecret(context.random)}`;
      const row: TokenRow = { id: uuidV7(clock.nowMs(), context.random), name, userId, createdAt: clock.now(), expiresAt };
      await insertToken(tx, { ...row, secretHash: hashSecret(token) });
      await auditIdentity(tx, { at: row.createdAt, actor: userId, action: 'token-created', userId });
      return { id: row.id, token };
    },
    async revokeToken(tx, userId, id) {
      if (!isUuid(id) || !(await revokeTokenById(tx, id, userId, clock.now()))) throw new AppError('not_found', 'There is no such token.');
      tokens.clear();
      await auditIdentity(tx, { at: clock.now(), actor: userId, action: 'token-revoked', userId });
    },
  };
}

/** Every try counts before it is looked at; a good one clears the count, a refused one does not prolong the wait. */
async function throttle(db: Knex, clock: Clock, account: string): Promise<void> {
  const now = clock.nowMs();
  const since = new Date(now - WINDOW_MS).toISOString();
  const tries = await inTransaction(db, (tx) => noteAttempt(tx, account, clock.now(), since, TRIES));
  if (tries === null) return;
  const freed = new Date(tries[tries.length - TRIES] ?? clock.now()).getTime() + WINDOW_MS;
  const seconds = Math.max(1, Math.ceil((freed - now) / 1_000));
  throw new AppError('too_many_requests', `Too many tries for this account. Try again in ${String(Math.ceil(seconds / 60))} minutes.`, {
    retryAfterSeconds: seconds,
  });
}

interface Cache<T> {
  get(secret: string, load: (hash: Buffer) => Promise<T | null>): Promise<T | null>;
  forget(secret: string): void;
  clear(): void;
}

/** Remembers what was found for a second; never that nothing was found. */
function makeCache<T>(clock: Clock): Cache<T> {
  const known = new Map<string, { readonly value: T; readonly until: number }>();
  const keyOf = (hash: Buffer): string => hash.toString('base64');
  return {
    async get(secret, load) {
      const hash = hashSecret(secret);
      const key = keyOf(hash);
      const entry = known.get(key);
      if (entry !== undefined && entry.until > clock.nowMs()) return entry.value;
      known.delete(key);
      const value = await load(hash);
      if (value === null) return null;
      if (known.size >= CACHE_SIZE) known.clear();
      known.set(key, { value, until: clock.nowMs() + CACHE_MS });
      return value;
    },
    forget: (secret) => void known.delete(keyOf(hashSecret(secret))),
    clear: () => known.clear(),
  };
}
