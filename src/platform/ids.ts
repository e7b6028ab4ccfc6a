import { randomBytes } from 'node:crypto';

/** Where randomness comes from; a seeded source makes simulations repeatable. */
export type RandomBytes = (size: number) => Uint8Array;
export type NewId = () => string;

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then random bits.
 * @param nowMs milliseconds since the epoch
 */
export function uuidV7(nowMs: number, random: RandomBytes = randomBytes): string {
  const bytes = new Uint8Array(16);
  bytes.set(random(16));
  let rest = nowMs;
  for (let index = 5; index >= 0; index -= 1) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Takes bytes from a block, for asking the operating system for a few at a time costs more than using them. No byte is given twice. */
export function inBlocks(source: RandomBytes, blockSize = 4096): RandomBytes {
  let block = new Uint8Array(0);
  let used = 0;
  return (size) => {
    if (size > blockSize) return source(size);
    if (used + size > block.length) {
      block = Uint8Array.from(source(blockSize));
      used = 0;
    }
    used += size;
    return block.slice(used - size, used);
  };
}

/** A metadata id: 12 random Crockford base-32 characters (`metadata.md`, "Names"). */
export function metadataId(random: RandomBytes = randomBytes): string {
  return [...random(12)].map((byte) => CROCKFORD.charAt(byte % 32)).join('');
}

/** A secret for links and tokens: 32 random bytes as URL-safe text. */
export function newSecret(random: RandomBytes = randomBytes): string {
  return Buffer.from(random(32)).toString('base64url');
}

/** A deterministic source of bytes for simulations (mulberry32); never for secrets of a live system. */
export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0;
  return (size) => {
    const bytes = new Uint8Array(size);
    for (let index = 0; index < size; index += 1) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      bytes[index] = ((mixed ^ (mixed >>> 14)) >>> 0) & 0xff;
    }
    return bytes;
  };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True when the text is a UUID in canonical lower-case form. */
export function isUuid(text: unknown): text is string {
  return typeof text === 'string' && UUID.test(text);
}
