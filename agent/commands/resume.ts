import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";

export const resume = command({
  command: "resume [id]",
  describe: "Let a container that is paused go on",
  builder: (yargs) => withId(yargs),
  async handler({ id, name, ...globals }) {
    const containerId = idOf({ id, name }, "resume");
    await change(globals, ({ runtime }, options) => runtime.resume(containerId, options));
  },
});
