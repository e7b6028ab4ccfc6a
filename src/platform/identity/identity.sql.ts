import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { joinSql, platformTable, rows, run, sql, type Sql } from '../sql.ts';
import { sortKey } from '../expression/sort-key.ts';

export type UserStatus = 'invited' | 'active' | 'suspended';

export interface UserAccount {
  readonly id: string;
  readonly version: number;
  readonly email: string;
  readonly name: string;
  readonly status: UserStatus;
  readonly permissionSets: readonly string[];
}

type DbRow = Readonly<Record<string, unknown>>;

/** The boundary for rows of app_user. */
function toUser(row: DbRow): UserAccount {
  const status = row['status'];
  return {
    id: String(row['id']),
    version: Number(row['version']),
    email: String(row['email']),
    name: String(row['name']),
    status: status === 'invited' || status === 'suspended' ? status : 'active',
    permissionSets: Array.isArray(row['permission_sets']) ? row['permission_sets'].map(String) : [],
  };
}

const USER_COLUMNS: Sql = joinSql(
  ['id', 'version', 'email', 'name', 'status', 'permission_sets'].map((name) => ({ kind: 'sql', text: `u.${name}`, values: [] })),
);

export async function insertUser(tx: Knex.Transaction, user: UserAccount & { readonly passwordHash: string | null }, at: string, by: string): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'app_user')}
          (id, created_at, created_by, updated_at, updated_by, email, email_s, name, name_s, status, password_hash, permission_sets)
        values (${user.id}::uuid, ${at}::timestamptz, ${by}, ${at}::timestamptz, ${by}, ${user.email}, ${sortKey(user.email)}, ${user.name}, ${sortKey(user.name)},
          ${user.status}, ${user.passwordHash}, ${user.permissionSets}::text[])`,
  );
}

export interface UserChange {
  readonly email?: string;
  readonly name?: string;
  readonly status?: UserStatus;
  readonly passwordHash?: string;
  readonly permissionSets?: readonly string[];
}

/** Changes an account; answers false when the version (if given) is not the current one. */
export async function updateUser(tx: Knex.Transaction, id: string, version: number | null, change: UserChange, at: string, by: string): Promise<boolean> {
  const changed = await run(
    tx,
    sql`update ${platformTable(tx, 'app_user')} set version = version + 1, updated_at = ${at}::timestamptz, updated_by = ${by},
          email = coalesce(${change.email ?? null}::text, email), email_s = coalesce(${change.email === undefined ? null : sortKey(change.email)}::text, email_s),
          name = coalesce(${change.name ?? null}::text, name), name_s = coalesce(${change.name === undefined ? null : sortKey(change.name)}::text, name_s),
          status = coalesce(${change.status ?? null}::text, status), password_hash = coalesce(${change.passwordHash ?? null}::text, password_hash),
          permission_sets = coalesce(${change.permissionSets ?? null}::text[], permission_sets)
        where id = ${id}::uuid and deleted_at is null and (${version}::int is null or version = ${version}::int)`,
  );
  return changed === 1;
}

export async function userByEmail(db: Knex, email: string): Promise<(UserAccount & { readonly passwordHash: string | null }) | null> {
  const [row] = await rows(
    db,
    sql`select ${USER_COLUMNS}, u.password_hash from ${platformTable(db, 'app_user')} u where u.email = ${email} and u.deleted_at is null`,
  );
  return row === undefined ? null : { ...toUser(row), passwordHash: typeof row['password_hash'] === 'string' ? row['password_hash'] : null };
}

export async function userById(db: Knex, id: string): Promise<UserAccount | null> {
  const [row] = await rows(db, sql`select ${USER_COLUMNS} from ${platformTable(db, 'app_user')} u where u.id = ${id}::uuid and u.deleted_at is null`);
  return row === undefined ? null : toUser(row);
}

export async function allUsers(db: Knex): Promise<readonly UserAccount[]> {
  const found = await rows(db, sql`select ${USER_COLUMNS} from ${platformTable(db, 'app_user')} u where u.deleted_at is null order by u.name_s, u.id`);
  return found.map(toUser);
}

/** True when somebody who may do everything can sign in. */
export async function hasActiveHolderOf(db: Knex, permissionSet: string): Promise<boolean> {
  const found = await rows(
    db,
    sql`select 1 from ${platformTable(db, 'app_user')} where deleted_at is null and status = 'active' and ${permissionSet} = any(permission_sets) limit 1`,
  );
  return found.length > 0;
}

// ------------------------------------------------------------------ sessions

export interface SessionRow {
  readonly user: UserAccount;
  readonly csrf: string;
  readonly expiresAt: string;
}

export async function insertSession(
  tx: Knex.Transaction,
  session: {
    readonly secretHash: Uint8Array;
    readonly userId: string;
    readonly csrf: string;
    readonly at: string;
    readonly expiresAt: string;
    readonly userAgent: string | null;
  },
): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'session')} (secret_hash, user_id, csrf, created_at, expires_at, user_agent)
        values (${session.secretHash}, ${session.userId}::uuid, ${session.csrf}, ${session.at}::timestamptz, ${session.expiresAt}::timestamptz, ${session.userAgent})`,
  );
  await run(tx, sql`delete from ${platformTable(tx, 'session')} where expires_at < ${session.at}::timestamptz`);
}

export async function sessionByHash(db: Knex, secretHash: Uint8Array): Promise<SessionRow | null> {
  const [row] = await rows(
    db,
    sql`select ${USER_COLUMNS}, s.csrf, s.expires_at from ${platformTable(db, 'session')} s join ${platformTable(db, 'app_user')} u on u.id = s.user_id
        where s.secret_hash = ${secretHash} and u.deleted_at is null and u.status = 'active'`,
  );
  return row === undefined ? null : { user: toUser(row), csrf: String(row['csrf']), expiresAt: toRfc3339(String(row['expires_at'])) };
}

export async function deleteSession(tx: Knex.Transaction, secretHash: Uint8Array): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'session')} where secret_hash = ${secretHash}`);
}

export async function deleteSessionsOf(tx: Knex.Transaction, userId: string): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'session')} where user_id = ${userId}::uuid`);
}

// ------------------------------------------------------------------ API tokens

export interface TokenRow {
  readonly id: string;
  readonly name: string;
  readonly userId: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
}

export async function insertToken(tx: Knex.Transaction, token: TokenRow & { readonly secretHash: Uint8Array }): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'api_token')} (id, user_id, name, secret_hash, created_at, expires_at)
        values (${token.id}::uuid, ${token.userId}::uuid, ${token.name}, ${token.secretHash}, ${token.createdAt}::timestamptz, ${token.expiresAt}::timestamptz)`,
  );
}

export async function tokenByHash(
  db: Knex,
  secretHash: Uint8Array,
): Promise<{ readonly id: string; readonly user: UserAccount; readonly expiresAt: string | null } | null> {
  const [row] = await rows(
    db,
    sql`select ${USER_COLUMNS}, t.id as token_id, t.expires_at from ${platformTable(db, 'api_token')} t join ${platformTable(db, 'app_user')} u on u.id = t.user_id
        where t.secret_hash = ${secretHash} and t.revoked_at is null and u.deleted_at is null and u.status = 'active'`,
  );
  if (row === undefined) return null;
  return { id: String(row['token_id']), user: toUser(row), expiresAt: typeof row['expires_at'] === 'string' ? toRfc3339(row['expires_at']) : null };
}

export async function revokeTokenById(tx: Knex.Transaction, id: string, userId: string, at: string): Promise<boolean> {
  const done = await run(
    tx,
    sql`update ${platformTable(tx, 'api_token')} set revoked_at = ${at}::timestamptz where id = ${id}::uuid and user_id = ${userId}::uuid and revoked_at is null`,
  );
  return done === 1;
}

// ------------------------------------------------------------------ invitations

/** Ends the open invitations of an account. */
export async function deleteInvitationsOf(tx: Knex.Transaction, userId: string): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'invitation')} where user_id = ${userId}::uuid and used_at is null`);
}

export async function replaceInvitation(tx: Knex.Transaction, userId: string, secretHash: Uint8Array, expiresAt: string): Promise<void> {
  await deleteInvitationsOf(tx, userId);
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'invitation')} (secret_hash, user_id, expires_at) values (${secretHash}, ${userId}::uuid, ${expiresAt}::timestamptz)`,
  );
}

/** The user of an open invitation; locks it for this transaction. */
export async function lockInvitation(tx: Knex.Transaction, secretHash: Uint8Array): Promise<{ readonly userId: string; readonly expiresAt: string } | null> {
  const [row] = await rows(
    tx,
    sql`select user_id, expires_at from ${platformTable(tx, 'invitation')} where secret_hash = ${secretHash} and used_at is null for update`,
  );
  return row === undefined ? null : { userId: String(row['user_id']), expiresAt: toRfc3339(String(row['expires_at'])) };
}

export async function invitedUser(db: Knex, secretHash: Uint8Array, now: string): Promise<UserAccount | null> {
  const [row] = await rows(
    db,
    sql`select ${USER_COLUMNS} from ${platformTable(db, 'invitation')} i join ${platformTable(db, 'app_user')} u on u.id = i.user_id
        where i.secret_hash = ${secretHash} and i.used_at is null and i.expires_at > ${now}::timestamptz and u.deleted_at is null and u.status <> 'suspended'`,
  );
  return row === undefined ? null : toUser(row);
}

export async function useInvitation(tx: Knex.Transaction, secretHash: Uint8Array, at: string): Promise<void> {
  await run(tx, sql`update ${platformTable(tx, 'invitation')} set used_at = ${at}::timestamptz where secret_hash = ${secretHash}`);
}

// ------------------------------------------------------------------ sign-in attempts

/**
 * Notes a try when fewer than `most` were made since `since`; otherwise answers the instants of those, oldest first.
 * Tries of one account come one after the other, so that many at once gain nothing.
 */
export async function noteAttempt(tx: Knex.Transaction, account: string, at: string, since: string, most: number): Promise<readonly string[] | null> {
  const table = platformTable(tx, 'sign_in_attempt');
  await run(tx, sql`select pg_advisory_xact_lock(hashtextextended(${account}, 0))`);
  await run(tx, sql`delete from ${table} where account = ${account} and at < ${since}::timestamptz`);
  const found = await rows(tx, sql`select at from ${table} where account = ${account} order by at`);
  if (found.length >= most) return found.map((row) => toRfc3339(String(row['at'])));
  await run(tx, sql`insert into ${table} (account, at) values (${account}, ${at}::timestamptz)`);
  return null;
}

export async function forgetAttempts(db: Knex, account: string): Promise<void> {
  await run(db, sql`delete from ${platformTable(db, 'sign_in_attempt')} where account = ${account}`);
}

export async function auditIdentity(
  tx: Knex,
  entry: { readonly at: string; readonly actor: string; readonly action: string; readonly userId: string | null },
): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'audit_entry')} (at, actor, action, object, record_id)
        values (${entry.at}::timestamptz, ${entry.actor}, ${entry.action}, 'User', ${entry.userId}::uuid)`,
  );
}
