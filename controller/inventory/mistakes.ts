import { NexcageError } from "../../shared/errors.ts";
import type { Place } from "./model.ts";

/** One thing that is wrong in the user's files. */
export type Mistake = { place: Place; message: string; hint?: string | undefined };

/** Takes note of a mistake; the work goes on, so that one run shows them all. */
export type Report = (place: Place, message: string, hint?: string) => void;

/** More lines than this help nobody; the error's details have them all. */
const shownAtMost = 50;

/** `fleet.yaml:41:7` */
export function formatPlace({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

/** All mistakes as one `INVALID_FILE`: a line each, in the order of the files. */
export function invalidFiles(mistakes: Mistake[]): NexcageError {
  const sorted = distinct(mistakes.toSorted(byPlace));
  const details = { mistakes: sorted.map(({ place, ...mistake }) => ({ ...place, ...mistake })) };
  const [first] = sorted;
  if (sorted.length === 1 && first !== undefined)
    return new NexcageError("INVALID_FILE", `${formatPlace(first.place)}: ${first.message}`, {
      hint: first.hint,
      details,
    });
  const lines = sorted.slice(0, shownAtMost).map(formatMistake);
  if (sorted.length > lines.length) lines.push(`and ${sorted.length - lines.length} more`);
  return new NexcageError("INVALID_FILE", lines.join("\n"), { details });
}

function formatMistake({ place, message, hint }: Mistake): string {
  return `${formatPlace(place)}: ${message}${hint === undefined ? "" : ` (${hint})`}`;
}

function byPlace({ place: a }: Mistake, { place: b }: Mistake): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

/** What stands behind an anchor is read once for each alias, and is wrong only once. */
function distinct(mistakes: Mistake[]): Mistake[] {
  return [...new Map(mistakes.map((mistake) => [formatMistake(mistake), mistake])).values()];
}
