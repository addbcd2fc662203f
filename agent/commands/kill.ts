import { parseContainerId } from "../../shared/ids.ts";
import { change, command } from "./command.ts";

export const kill = command({
  command: "kill <id> [signal]",
  describe: "Send a signal to a container's init process",
  builder: (yargs) =>
    yargs
      .positional("id", { type: "string", demandOption: true, describe: "container id" })
      .positional("signal", { type: "string", describe: "name or number" })
      .option("signal", {
        alias: "s",
        type: "string",
        requiresArg: true,
        defaultDescription: "SIGTERM",
        describe: "the signal, said as an option",
      })
      .option("all", {
        alias: "a",
        type: "boolean",
        default: false,
        describe: "to every process of the container",
      }),
  async handler({ id, signal, all, ...globals }) {
    const containerId = parseContainerId(id);
    await change(globals, ({ runtime }, options) =>
      runtime.kill(containerId, signal ?? "SIGTERM", { ...options, all }),
    );
  },
});
