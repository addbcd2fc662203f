import type { Observed } from "../../shared/container.ts";
import { command, print, printJson, printTable } from "./command.ts";
import { openAgent } from "./open.ts";

export const list = command({
  command: "list",
  describe: "List the containers of this host",
  builder: (yargs) =>
    yargs
      .option("quiet", { alias: "q", type: "boolean", default: false, describe: "ids only" })
      .option("format", {
        alias: "f",
        choices: ["table", "json"] as const,
        default: "table",
        describe: "table or json",
      }),
  async handler({ quiet, format, ...globals }) {
    await using opened = await openAgent(globals);
    const containers = await opened.runtime.list(opened);
    if (quiet) for (const { id } of containers) print(id);
    else if (format === "json" || globals.output === "json") printJson(containers.map(entryOf));
    else printTable(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], containers.map(rowOf));
  },
});

/** What crun and runc list of a container, and what we know beside it. */
function entryOf({ state, createdAt, fleet, client }: Observed) {
  return { ...state, created: createdAt, owner: "root", fleet, client };
}

function rowOf({ id, state, createdAt, fleet, client }: Observed): string[] {
  return [id, String(state.pid), state.status, state.bundle, createdAt ?? "-", fleet ?? client ?? "-"];
}
