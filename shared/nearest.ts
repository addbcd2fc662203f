/** The one of `known` that `word` was probably meant to be; undefined when none is near. Pure. */
function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance <= Math.max(1, Math.floor(candidate.length / 3)) && distance < (best?.distance ?? Infinity))
      best = { word: candidate, distance };
  }
  return best?.word;
}

/** `did you mean "memory"?`, or else what there is: `hosts: a, b, c`. */
export function nearestHint(word: string, known: Iterable<string>, what: string): string | undefined {
  const all = [...known];
  const meant = nearest(word, all);
  if (meant !== undefined) return `did you mean "${meant}"?`;
  if (all.length === 0) return undefined;
  const more = all.length > 12 ? `, … (${all.length} in all)` : "";
  return `${what}: ${all.slice(0, 12).join(", ")}${more}`;
}

/** How many letters to insert, delete, replace or swap with their neighbour (Damerau, optimal alignment). */
function editDistance(a: string, b: string): number {
  let twoAbove: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current[column] = Math.min(
        at(above, column) + 1,
        at(current, column - 1) + 1,
        at(above, column - 1) + (same ? 0 : 1),
        swapped ? at(twoAbove, column - 2) + 1 : Infinity,
      );
    }
    twoAbove = above;
    above = current;
  }
  return at(above, b.length);
}

const at = (row: number[], column: number): number => row[column] ?? Infinity;
