import { parseContainerId } from "../../shared/ids.ts";
import { change, command } from "./command.ts";

export const start = command({
  command: "start <id>",
  describe: "Start a container that was created, or has stopped",
  builder: (yargs) =>
    yargs.positional("id", { type: "string", demandOption: true, describe: "container id" }),
  async handler({ id, ...globals }) {
    const containerId = parseContainerId(id);
    await change(globals, ({ runtime }, options) => runtime.start(containerId, options));
  },
});
