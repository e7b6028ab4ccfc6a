/**
 * Time is an input: nothing else in the product reads the machine's clock for business time.
 * Instants are RFC 3339 UTC strings with milliseconds; days are YYYY-MM-DD strings.
 */
export type Instant = string & { readonly __instant?: never };
export type PlainDate = string & { readonly __plainDate?: never };

export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  now(): Instant;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  now: () => new Date().toISOString(),
};

export interface VirtualClock extends Clock {
  /** Moves forward to `instant`; earlier instants are ignored, for time never runs backwards. */
  advanceTo(instant: Instant): void;
}

/** A clock that stands still until it is moved; used by simulation and tests. */
export function makeVirtualClock(start: Instant): VirtualClock {
  let current = new Date(start).getTime();
  if (Number.isNaN(current)) throw new RangeError(`Not an instant: ${start}`);
  return {
    nowMs: () => current,
    now: () => new Date(current).toISOString(),
    advanceTo: (instant) => {
      const next = new Date(instant).getTime();
      if (Number.isNaN(next)) throw new RangeError(`Not an instant: ${instant}`);
      if (next > current) current = next;
    },
  };
}
