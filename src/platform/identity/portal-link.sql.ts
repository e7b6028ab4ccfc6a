import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

export interface PortalLink {
  readonly id: string;
  readonly object: string;
  readonly recordId: string;
  readonly permissionSet: string;
  /** `form:<name>`: the form that the link opens. */
  readonly purpose: string;
  readonly expiresAt: string;
  readonly revokedAt: string | null;
  /** When its use was noted last: at most once a minute. */
  readonly lastUsedAt: string | null;
}

function portalLink(row: Readonly<Record<string, unknown>>): PortalLink {
  return {
    id: String(row['id']),
    object: String(row['object']),
    recordId: String(row['record_id']),
    permissionSet: String(row['permission_set']),
    purpose: String(row['purpose']),
    expiresAt: toRfc3339(String(row['expires_at'])),
    revokedAt: typeof row['revoked_at'] === 'string' ? toRfc3339(row['revoked_at']) : null,
    lastUsedAt: typeof row['last_used_at'] === 'string' ? toRfc3339(row['last_used_at']) : null,
  };
}

export async function insertPortalLink(
  tx: Knex.Transaction,
  link: Omit<PortalLink, 'revokedAt' | 'lastUsedAt'> & { readonly hash: Uint8Array; readonly at: string },
): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'portal_link')} (id, secret_hash, object, record_id, permission_set, purpose, created_at, expires_at)
        values (${link.id}::uuid, ${link.hash}, ${link.object}, ${link.recordId}::uuid, ${link.permissionSet}, ${link.purpose}, ${link.at}::timestamptz, ${link.expiresAt}::timestamptz)`,
  );
}

export async function portalLinkByHash(db: Knex, hash: Uint8Array): Promise<PortalLink | null> {
  const found = await rows(db, sql`select * from ${platformTable(db, 'portal_link')} where secret_hash = ${hash}`);
  return found[0] === undefined ? null : portalLink(found[0]);
}

export async function portalLinksOf(db: Knex, recordId: string): Promise<readonly PortalLink[]> {
  const found = await rows(db, sql`select * from ${platformTable(db, 'portal_link')} where record_id = ${recordId}::uuid order by created_at desc, id desc`);
  return found.map(portalLink);
}

export async function touchPortalLink(tx: Knex, id: string, at: string): Promise<void> {
  await run(tx, sql`update ${platformTable(tx, 'portal_link')} set last_used_at = ${at}::timestamptz where id = ${id}::uuid`);
}

/** Ends a link at once. Answers false when there is none, or it had ended already. */
export async function revokePortalLink(tx: Knex, id: string, at: string): Promise<boolean> {
  return (await run(tx, sql`update ${platformTable(tx, 'portal_link')} set revoked_at = ${at}::timestamptz where id = ${id}::uuid and revoked_at is null`)) > 0;
}

/** Ends the links to a record that are still open; answers how many. */
export async function revokePortalLinksOf(tx: Knex.Transaction, record: { readonly object: string; readonly id: string }, at: string): Promise<number> {
  return run(
    tx,
    sql`update ${platformTable(tx, 'portal_link')} set revoked_at = ${at}::timestamptz
        where object = ${record.object} and record_id = ${record.id}::uuid and revoked_at is null`,
  );
}
