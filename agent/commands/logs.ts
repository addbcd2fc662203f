import type { LogLine } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import { command, printJson } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { openAgent } from "./open.ts";

export const logs = command({
  command: "logs [id]",
  describe: "Print what a container wrote: its stdout to stdout, its stderr to stderr",
  builder: (yargs) =>
    withId(yargs)
      .option("follow", {
        alias: "f",
        type: "boolean",
        default: false,
        describe: "go on until it has stopped",
      })
      .option("tail", { type: "number", requiresArg: true, describe: "only the last so many lines" }),
  async handler({ id, name, follow, tail, ...globals }) {
    const containerId = idOf({ id, name }, "logs");
    if (tail !== undefined && !(Number.isSafeInteger(tail) && tail >= 0))
      throw new NexcageError("USAGE", "--tail takes a whole number, as in --tail 10");
    await using opened = await openAgent(globals);
    for await (const lines of opened.runtime.logs(containerId, { follow, tail }, opened)) {
      printLines(lines, globals);
    }
  },
});

export function printLines(lines: LogLine[], { output }: { output?: string | undefined }): void {
  if (output === "json") for (const line of lines) printJson(line);
  else
    for (const { stream, text, partial } of lines)
      process[stream].write(partial === true ? text : `${text}\n`);
}
