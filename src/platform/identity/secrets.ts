import { createHash } from 'node:crypto';

/** What is stored of a secret: it has 256 random bits, so a plain hash is enough. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
