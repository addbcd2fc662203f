import { asNexcageError } from "../../shared/errors.ts";
import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { refuseOciOptions, withRegex } from "./oci-options.ts";

export const deleteCommand = command({
  command: "delete [id]",
  describe: "Delete a container that is not running, and all that it has on this host",
  builder: (yargs) =>
    withRegex(withId(yargs)).option("force", {
      alias: "f",
      type: "boolean",
      default: false,
      describe: "end it at once where it runs; fine where there is none",
    }),
  async handler({ id, name, force, ...globals }) {
    refuseOciOptions(globals, "delete");
    const containerId = idOf({ id, name }, "delete");
    try {
      // As OCI runtimes do it: `stop` is for who wants it gently.
      await change(globals, ({ runtime }, options) =>
        runtime.delete(containerId, { ...options, force, gracePeriodMs: 0 }),
      );
    } catch (error) {
      if (!force || asNexcageError(error).code !== "CONTAINER_NOT_FOUND") throw error;
    }
  },
});
