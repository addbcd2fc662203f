import { command, printJson } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { refuseOciOptions, withRegex } from "./oci-options.ts";
import { openAgent } from "./open.ts";

export const state = command({
  command: "state [id]",
  describe: "Print a container's OCI state as JSON",
  builder: (yargs) =>
    withRegex(withId(yargs)).option("all", {
      alias: "a",
      type: "boolean",
      describe: "of each; of OCI clients' containers only",
    }),
  async handler({ id, name, ...globals }) {
    refuseOciOptions(globals, "state");
    const containerId = idOf({ id, name }, "state");
    await using opened = await openAgent(globals);
    const observed = await opened.runtime.state(containerId, opened);
    printJson(observed.state);
  },
});
