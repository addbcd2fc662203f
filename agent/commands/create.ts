import { resolve } from "node:path";
import { parseContainerId } from "../../shared/ids.ts";
import { change, command } from "./command.ts";

export const create = command({
  command: "create <id>",
  describe: "Create a container from an OCI bundle; start runs it",
  builder: (yargs) =>
    yargs
      .positional("id", { type: "string", demandOption: true, describe: "container id" })
      .option("bundle", {
        alias: "b",
        type: "string",
        requiresArg: true,
        default: ".",
        defaultDescription: "the current folder",
        describe: "folder with config.json",
      }),
  async handler({ id, bundle, ...globals }) {
    const containerId = parseContainerId(id);
    const source = { kind: "bundle", path: resolve(bundle) } as const;
    await change(globals, ({ runtime }, options) =>
      runtime.create({ id: containerId, runtime: "crun", source }, options),
    );
  },
});
