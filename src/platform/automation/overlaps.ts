/** A run would write a record by what it read of it before another run of its transaction wrote it. Done one after the other, it reads what was written. */
export class Overlap extends Error {
  override readonly name = 'Overlap';
}

/** Anything that may have been read: what a search or a work of its own looked at is not known. */
export const ANYTHING = '*';

/**
 * Sees to it that runs which share a transaction come to what they come to one after the other: none writes a record
 * by what it read before another wrote that record.
 */
export interface Overlaps {
  /** A run reads; the first time counts, for what it did since may rest on it. */
  read(member: number, key: string): void;
  /**
   * A run is about to write records that exist.
   * @throws Overlap
   */
  write(member: number, keys: readonly string[]): void;
}

export function makeOverlaps(): Overlaps {
  let writes = 0;
  const reads = new Map<number, Map<string, number>>();
  const written = new Map<string, { readonly member: number; readonly at: number }>();
  return {
    read(member, key) {
      const own = reads.get(member) ?? new Map<string, number>();
      reads.set(member, own);
      if (!own.has(key)) own.set(key, writes);
    },
    write(member, keys) {
      const own = reads.get(member);
      for (const key of keys) {
        const last = written.get(key);
        if (last === undefined || last.member === member) continue;
        const first = Math.min(own?.get(key) ?? Infinity, own?.get(ANYTHING) ?? Infinity);
        if (first < last.at) throw new Overlap(`Two runs write ${key}.`);
      }
      writes += 1;
      for (const key of keys) written.set(key, { member, at: writes });
    },
  };
}
