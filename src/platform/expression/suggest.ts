/** Edits (insert, delete, replace, swap of neighbours) between two words. */
function distance(left: string, right: string): number {
  let [older, previous]: [number[], number[]] = [[], Array.from({ length: right.length + 1 }, (_, index) => index)];
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      let best = Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (previous[column - 1] ?? 0) + (same ? 0 : 1));
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1])
        best = Math.min(best, (older[column - 2] ?? 0) + 1);
      current.push(best);
    }
    [older, previous] = [previous, current];
  }
  return previous[right.length] ?? 0;
}

/** The known name nearest to a misspelt one, or null when none is near enough to be meant. */
export function nearestName(wrong: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor((wrong.length + 1) / 3)) + 1;
  for (const name of known) {
    const edits = distance(wrong.toLowerCase(), name.toLowerCase());
    if (edits < bestDistance) [best, bestDistance] = [name, edits];
  }
  return best;
}

/** `Did you mean 'x'?`, or nothing. */
export function didYouMean(wrong: string, known: Iterable<string>): string | undefined {
  const name = nearestName(wrong, known);
  return name === null ? undefined : `Did you mean '${name}'?`;
}
