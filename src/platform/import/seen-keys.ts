import { createHash } from 'node:crypto';

const WORDS = 4;

/**
 * Which line had a key first, for millions of keys: a hash of 96 bits each in an open table, 16 bytes a place. A map of
 * strings took 100 MB for a million rows.
 */
export interface SeenKeys {
  /** The line that had this key before; otherwise notes that `line` has it and answers null. */
  firstLine(key: string, line: number): number | null;
}

export function makeSeenKeys(): SeenKeys {
  let capacity = 1 << 12;
  let table = new Uint32Array(capacity * WORDS);
  let used = 0;

  /** The place of a hash, or the free place where it would stand. Lines begin at 1, so 0 marks a free place. */
  const placeOf = (words: Uint32Array, into: Uint32Array, size: number): number => {
    let place = (words[0] ?? 0) & (size - 1);
    for (;;) {
      const at = place * WORDS;
      if (into[at + 3] === 0 || (into[at] === words[0] && into[at + 1] === words[1] && into[at + 2] === words[2])) return at;
      place = (place + 1) & (size - 1);
    }
  };
  const grow = (): void => {
    const larger = new Uint32Array(capacity * 2 * WORDS);
    for (let at = 0; at < table.length; at += WORDS) {
      if (table[at + 3] !== 0) larger.set(table.subarray(at, at + WORDS), placeOf(table.subarray(at, at + 3), larger, capacity * 2));
    }
    capacity *= 2;
    table = larger;
  };
  return {
    firstLine: (key, line) => {
      const digest = createHash('md5').update(key).digest();
      const words = Uint32Array.of(digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8));
      const at = placeOf(words, table, capacity);
      const known = table[at + 3] ?? 0;
      if (known !== 0) return known;
      table.set(words, at);
      table[at + 3] = line;
      used += 1;
      if (used * 5 > capacity * 3) grow();
      return null;
    },
  };
}
