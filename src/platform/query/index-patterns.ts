/** The share of all search entries that hold a trigram, for those that are in many; a trigram that is not named is in few. */
export type TrigramShares = ReadonlyMap<string, number>;

/** What a trigram that is not named is taken for: half of the share from which on they are named (`trigram-shares.sql.ts`). */
export const NAMED_SHARE = 0.005;
const RARE_SHARE = NAMED_SHARE / 2;

/**
 * To fetch an entry and look at it takes as long as reading so many places of the index's list of a trigram: 5 µs (1 where the page is in
 * PostgreSQL's own memory, 30 where it is on disk) beside 2.5 ns (8,000,000 entries, `explain (analyze, buffers)`).
 */
const COST_OF_ENTRY = 2_000;
/** Of the entries that hold one trigram of a word at least this share holds the next one, too: they have two letters in common. */
const LEAST_LEFT = 0.2;

const SIZE = 3;

interface Trigram {
  readonly at: number;
  readonly share: number;
}

/**
 * For each word a LIKE pattern that every text holding the word matches, and that asks a trigram index only for those trigrams of
 * it that pay: reading through the list of a trigram that most entries hold leaves hardly any of them out. Words are folded. The pattern of a
 * word that is not worth asking for is `%`; without shares it is the whole word.
 */
export function indexPatterns(words: readonly string[], shares: TrigramShares): readonly string[] {
  if (shares.size === 0) return words.map((word) => contains([word]));
  const patterns = new Map<string, string>();
  let left = 1;
  const byRarity = words.map((word) => ({ word, found: trigramsOf(word, shares) })).sort((one, other) => lowest(one.found) - lowest(other.found));
  for (const { word, found } of byRarity) {
    const kept = worthAsking(found, left);
    patterns.set(word, found.length === 0 ? contains([word]) : contains(piecesOf(word, kept)));
    if (kept.size > 0) left *= lowest(found);
  }
  return words.map((word) => patterns.get(word) ?? contains([word]));
}

const lowest = (found: readonly Trigram[]): number => found[0]?.share ?? 1;

/** The trigrams that the index takes from a word, rarest first. What is no letter or digit stands for the edge of a word in it. */
function trigramsOf(word: string, shares: TrigramShares): readonly Trigram[] {
  const letters = [...word].map((letter) => (/[\p{L}\p{N}]/u.test(letter) ? letter : ' '));
  return letters
    .slice(SIZE - 1)
    .flatMap((_, at) => {
      const trigram = letters.slice(at, at + SIZE).join('');
      // A word that is whole within the three, or none, is nothing that is looked up by these three.
      return /^ ?[^ ]{2,3} ?$/u.test(trigram) ? [{ at, share: shares.get(trigram) ?? RARE_SHARE }] : [];
    })
    .sort((one, other) => one.share - other.share);
}

/**
 * Where the trigrams begin that are worth asking for.
 * @param left the share of the entries that the words before leave; words are taken for independent of each other, trigrams of a word are not
 */
function worthAsking(found: readonly Trigram[], left: number): ReadonlySet<number> {
  const kept = new Set<number>();
  const known = new Set(found.map(({ at }) => at));
  // Two pieces of one pattern have no letter in common; what lies between two may be asked for at no cost where it is no trigram.
  const between = (at: number): readonly number[] => [at - 1, at + 1].filter((middle) => !kept.has(middle) && kept.has(2 * middle - at));
  const rarest = (): Trigram | undefined => found.find(({ at }) => !kept.has(at) && !between(at).some((middle) => known.has(middle)));
  let remaining = left;
  for (let next = rarest(); next !== undefined; next = rarest()) {
    const { at, share } = next;
    const isFirst = left === 1 && kept.size === 0;
    if (!isFirst && remaining * (1 - share) * COST_OF_ENTRY <= share) break;
    remaining *= kept.size === 0 ? share : Math.max(LEAST_LEFT, Math.sqrt(share));
    for (const one of [at, ...between(at)]) kept.add(one);
  }
  return kept;
}

/** The stretches of a word that its kept trigrams cover: those that follow each other share a piece. */
function piecesOf(word: string, kept: ReadonlySet<number>): readonly string[] {
  const letters = [...word];
  const starts = [...kept].filter((at) => !kept.has(at - 1)).sort((one, other) => one - other);
  return starts.map((start) => {
    let end = start + 1;
    while (kept.has(end)) end += 1;
    return letters.slice(start, end + SIZE - 1).join('');
  });
}

const contains = (pieces: readonly string[]): string => ['', ...pieces.map(escapeLike), ''].join('%').replace(/^%%$/, '%');

/** Text for LIKE in which no character is a wildcard. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (character) => `\\${character}`);
}
