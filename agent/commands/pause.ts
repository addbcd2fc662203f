import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";

export const pause = command({
  command: "pause [id]",
  describe: "Freeze all that runs in a container",
  builder: (yargs) => withId(yargs),
  async handler({ id, name, ...globals }) {
    const containerId = idOf({ id, name }, "pause");
    await change(globals, ({ runtime }, options) => runtime.pause(containerId, options));
  },
});
