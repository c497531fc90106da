/** The known name that a mistyped one most likely meant, or undefined when none is near. */
export function nearest(typed: string, known: Iterable<string>): string | undefined {
  const wanted = typed.toLowerCase();
  let best: string | undefined;
  // Up to a third of the letters may be wrong; more than that is another word.
  let limit = Math.max(1, Math.floor(typed.length / 3)) + 0.5;
  for (const name of known) {
    const candidate = name.toLowerCase();
    const distance =
      candidate === wanted
        ? 0
        : candidate.startsWith(wanted) && wanted.length >= 3
          ? 1
          : // So many letters have to be added or taken away at least; what is far too long costs no more than that.
            Math.abs(wanted.length - candidate.length) < limit
            ? edits(wanted, candidate)
            : limit;
    if (distance < limit) {
      limit = distance;
      best = name;
    }
  }
  return best;
}

/** ", did you mean name?" or nothing. */
export function didYouMean(typed: string, known: Iterable<string>): string {
  const name = nearest(typed, known);
  return name === undefined ? '' : `; did you mean '${name}'?`;
}

/** Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours. */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}
