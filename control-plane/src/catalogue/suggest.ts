/** The word that was probably meant: at most two edits away, and nearer than any other. */
export function suggestion(found: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.ceil(found.length / 2) + 1);
  for (const word of words) {
    const distance = edits(found.toLowerCase(), word.toLowerCase(), least);
    if (distance < least) {
      least = distance;
      best = word;
    }
  }
  return best;
}

/** Levenshtein's distance, two rows at a time; gives up at `bound`. */
function edits(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
