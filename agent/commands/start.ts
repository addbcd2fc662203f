import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";

export const start = command({
  command: "start [id]",
  describe: "Start a container that was created, or has stopped",
  builder: (yargs) => withId(yargs),
  async handler({ id, name, ...globals }) {
    const containerId = idOf({ id, name }, "start");
    await change(globals, ({ runtime }, options) => runtime.start(containerId, options));
  },
});
