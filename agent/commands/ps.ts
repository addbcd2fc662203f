import { command, printJson, printTable } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { openAgent } from "./open.ts";

export const ps = command({
  command: "ps [id]",
  describe: "List a container's processes, by their pids on this host",
  builder: (yargs) =>
    withId(yargs).option("format", {
      alias: "f",
      choices: ["table", "json"] as const,
      default: "table",
      describe: "table, or json: the pids alone",
    }),
  async handler({ id, name, format, ...globals }) {
    const containerId = idOf({ id, name }, "ps");
    await using opened = await openAgent(globals);
    const processes = await opened.runtime.ps(containerId, opened);
    if (format === "json") printJson(processes.map(({ pid }) => pid));
    else if (globals.output === "json") printJson(processes);
    else
      printTable(
        ["PID", "PPID", "UID", "COMMAND"],
        processes.map(({ pid, ppid, uid, command: line }) => [String(pid), String(ppid), String(uid), line]),
      );
  },
});
