import { join } from "node:path";

/** After a text has come, type something, or give the terminal another size. */
export type Typing =
  | { after: string; type: string }
  | { after: string; resize: [rows: number, columns: number] };

/** The words that run a program on a terminal of its own. */
export function onTerminal(words: string[], typing: Typing[]): string[] {
  return ["python3", join(import.meta.dirname, "terminal.py"), JSON.stringify(typing), ...words];
}
