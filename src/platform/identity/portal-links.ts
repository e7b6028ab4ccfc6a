import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { CallContext, Principal } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { newSecret, type RandomBytes } from '../ids.ts';
import { insertPortalLink, portalLinkByHash, touchPortalLink, type PortalLink } from './portal-link.sql.ts';

const DAY_MS = 86_400_000;
const USE_NOTED_EVERY_MS = 60_000;

function hashOf(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

/**
 * Makes a personal link to one record and one form. Only the hash is stored: the secret is in the answer and nowhere else.
 * @param days how long the link is good for, in calendar days
 */
export async function createPortalLink(
  tx: Knex.Transaction,
  context: CallContext,
  link: { readonly object: string; readonly recordId: string; readonly permissionSet: string; readonly purpose: string; readonly days: number },
  random?: RandomBytes,
): Promise<{ readonly id: string; readonly secret: string; readonly expiresAt: string }> {
  const secret = newSecret(random);
  const id = context.newId();
  const expiresAt = new Date(new Date(context.now).getTime() + link.days * DAY_MS).toISOString();
  await insertPortalLink(tx, { ...link, id, expiresAt, hash: hashOf(secret), at: context.now });
  return { id, secret, expiresAt };
}

/** The link behind a secret, good or ended; null for a secret that is none. */
export async function findPortalLink(db: Knex, secret: string): Promise<PortalLink | null> {
  return portalLinkByHash(db, hashOf(secret));
}

/**
 * A link that was found, if it is good now. Its use is noted at most once a minute: people open many pages, and each note is a write.
 * @throws AppError not_found for an ended or expired link, with what to do
 */
export async function usePortalLink(db: Knex, link: PortalLink, now: string): Promise<PortalLink> {
  if (link.revokedAt !== null) throw new AppError('not_found', 'This link was withdrawn. Ask us for a new one; nothing you typed is lost.');
  if (link.expiresAt <= now) throw new AppError('not_found', 'This link has expired. Ask us for a new one; nothing you typed is lost.');
  if (link.lastUsedAt === null || Date.parse(now) - Date.parse(link.lastUsedAt) >= USE_NOTED_EVERY_MS) await touchPortalLink(db, link.id, now);
  return link;
}

/**
 * The link behind a secret, if it is good now; notes its use.
 * @throws AppError not_found for an unknown, ended or expired link, with what to do
 */
export async function openPortalLink(db: Knex, secret: string, now: string): Promise<PortalLink> {
  const link = await findPortalLink(db, secret);
  if (link === null) throw unknownLink();
  return usePortalLink(db, link, now);
}

/** What is said to somebody whose secret is none. */
export function unknownLink(): AppError {
  return new AppError('not_found', 'This link is not known. Check that you copied all of it, or ask us for a new one.');
}

/** The principal that acts through a link. */
export function linkPrincipal(link: PortalLink): Principal {
  return { kind: 'portal', permissionSets: [link.permissionSet], subject: { object: link.object, id: link.recordId }, linkId: link.id };
}
