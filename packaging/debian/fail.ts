import { ExecaError } from "execa";
import { NexcageError } from "../../shared/errors.ts";

/** Ends a script with what went wrong, in one line, and what to do about it. */
export function fail(script: string, error: unknown): void {
  // A program's own first words say more than how it ended.
  const lines = error instanceof ExecaError ? String(error.stderr).split("\n") : [];
  const said = lines.find((line) => line !== "" && !line.includes("WARNING"));
  console.error(`${script}: ${said ?? (error instanceof Error ? error.message : error)}`);
  if (error instanceof NexcageError && error.hint) console.error(`hint: ${error.hint}`);
  process.exitCode = 1;
}
