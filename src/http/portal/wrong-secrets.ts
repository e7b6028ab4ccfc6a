import { createHash } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';

/** Wrong secrets that an address may try at once; one more may be tried each `REFILL_MS`. */
const TRIES = 10;
const REFILL_MS = 60_000;
/** A secret that was good so long ago passes, whatever others behind the same address tried. */
const GOOD_MS = 15 * 60_000;
/** Addresses and secrets that are remembered at most: the oldest go first. */
const REMEMBERED = 10_000;

/**
 * Slows down whoever tries secrets of personal links: a bucket of tries for each address, in this process's memory. An empty
 * bucket refuses before the secret is looked up; offices that share an address with the guesser go on with theirs.
 */
export interface WrongSecrets {
  /** Takes a try from the address. @throws AppError too_many_requests with the seconds until the next */
  admit(address: string, secret: string): void;
  /** The secret is that of a link: gives the try back. */
  known(address: string, secret: string): void;
}

interface Bucket {
  readonly tries: number;
  readonly atMs: number;
}

export function makeWrongSecrets(clock: Clock): WrongSecrets {
  const buckets = new Map<string, Bucket>();
  const good = new Map<string, number>();
  const triesOf = (network: string): number => {
    const bucket = buckets.get(network);
    return bucket === undefined ? TRIES : Math.min(TRIES, bucket.tries + (clock.nowMs() - bucket.atMs) / REFILL_MS);
  };
  const isGood = (secret: string): boolean => (good.get(keyOf(secret)) ?? 0) > clock.nowMs();
  return {
    admit(address, secret) {
      if (isGood(secret)) return;
      const network = networkOf(address);
      const tries = triesOf(network);
      if (tries < 1) {
        throw new AppError('too_many_requests', 'Too many links that are not known were tried from here. Try again in a minute.', {
          retryAfterSeconds: Math.max(1, Math.ceil(((1 - tries) * REFILL_MS) / 1_000)),
        });
      }
      remember(buckets, network, { tries: tries - 1, atMs: clock.nowMs() });
    },
    known(address, secret) {
      if (isGood(secret)) return;
      const network = networkOf(address);
      remember(buckets, network, { tries: Math.min(TRIES, triesOf(network) + 1), atMs: clock.nowMs() });
      remember(good, keyOf(secret), clock.nowMs() + GOOD_MS);
    },
  };
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest);
}

/** Secrets stay out of memory: only what is stored of them is kept. */
function keyOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64');
}

/** Who is behind an address: of IPv6 the network of 64 bits that one customer gets (RFC 6177), for each has more addresses than can be counted. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0');
  return [...front, ...zeros, ...back]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
