import { parseContainerId } from "../../shared/ids.ts";
import { command, printJson } from "./command.ts";
import { openAgent } from "./open.ts";

export const state = command({
  command: "state <id>",
  describe: "Print a container's OCI state as JSON",
  builder: (yargs) =>
    yargs.positional("id", { type: "string", demandOption: true, describe: "container id" }),
  async handler({ id, ...globals }) {
    const containerId = parseContainerId(id);
    await using opened = await openAgent(globals);
    const observed = await opened.runtime.state(containerId, opened);
    printJson(observed.state);
  },
});
