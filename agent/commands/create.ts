import { change, command } from "./command.ts";
import { idOf } from "./container-id.ts";
import { specOf, withContainer } from "./new-container.ts";
import { refuseOciOptions, withOciCreate } from "./oci-options.ts";

export const create = command({
  command: "create [id]",
  describe: "Create a container from an OCI bundle or a template of Proxmox's; start runs it",
  builder: (yargs) => withOciCreate(withContainer(yargs)),
  async handler({ id, name, bundle, image, runtime, ...globals }) {
    refuseOciOptions(globals, "create");
    const containerId = idOf({ id, name }, "create");
    await change(globals, ({ runtime: api, config }, options) =>
      api.create(specOf(containerId, { bundle, image, runtime }, config), options),
    );
  },
});
