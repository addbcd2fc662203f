import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { parseDuration } from "../../shared/units.ts";

export function withGracePeriod<T>(yargs: Argv<T>) {
  return yargs.option("grace-period", {
    type: "string",
    requiresArg: true,
    describe: "instead of the container's own, such as 10s",
  });
}

/** In ms; undefined for the container's own. @throws {NexcageError} `USAGE` */
export function gracePeriodOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const periodMs = parseDuration(text);
  if (periodMs !== undefined) return periodMs;
  throw new NexcageError("USAGE", `--grace-period ${quoteForMessage(text)} is not a duration`, {
    hint: "such as 10s, or 0s for SIGKILL at once",
  });
}
