import type { Argv } from "yargs";

/** Options for what CI systems read of a command. */
export function outputOptions<A>(yargs: Argv<A>) {
  const file = { type: "string", requiresArg: true, completes: "file" } as const;
  return yargs
    .option("report", { ...file, describe: "write a page that tells it all to this file (HTML)" })
    .option("junit", { ...file, describe: "write it as JUnit's XML to this file" })
    .option("events", { ...file, describe: "write what happens, as it happens, to this file (NDJSON)" })
    .option("summary", {
      ...file,
      describe: "append a summary to this file (Markdown) [default: $GITHUB_STEP_SUMMARY]",
    });
}
