import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import { errorText } from "../report/lines.ts";

/** A result for programs, on stdout alone. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Any failure as its line and hint on stderr, or as JSON on stdout; gives the exit status. */
export async function printError(thrown: unknown, { json }: { json: boolean }): Promise<number> {
  const error = asNexcageError(thrown);
  if (process.env.GITHUB_ACTIONS === "true")
    process.stderr.write((await import("../report/annotations.ts")).errorAnnotations(error));
  if (json) printJson({ error });
  else process.stderr.write(`nexcage: ${errorText(error, { withCode: true })}\n`);
  if (error.code === "INTERNAL" && process.env.NEXCAGE_DEBUG)
    process.stderr.write(
      `${(thrown instanceof NexcageError ? thrown.cause : thrown) instanceof Error ? (error.stack ?? "") : ""}\n`,
    );
  return error.exitCode;
}
