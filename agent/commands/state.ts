import { command, printJson } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { openAgent } from "./open.ts";

export const state = command({
  command: "state [id]",
  describe: "Print a container's OCI state as JSON",
  builder: (yargs) => withId(yargs),
  async handler({ id, name, ...globals }) {
    const containerId = idOf({ id, name }, "state");
    await using opened = await openAgent(globals);
    const observed = await opened.runtime.state(containerId, opened);
    printJson(observed.state);
  },
});
