import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { refuseOciOptions, withRegex } from "./oci-options.ts";

export const kill = command({
  command: "kill [id] [signal]",
  describe: "Send a signal to a container's init process",
  builder: (yargs) =>
    withRegex(withId(yargs))
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
  async handler({ id, name, signal, all, ...globals }) {
    refuseOciOptions(globals, "kill");
    // With --name the first word is the signal.
    const words = name === undefined ? { id, signal } : { id: undefined, signal: signal ?? id };
    const containerId = idOf({ id: words.id, name }, "kill");
    await change(globals, ({ runtime }, options) =>
      runtime.kill(containerId, words.signal ?? "SIGTERM", { ...options, all }),
    );
  },
});
