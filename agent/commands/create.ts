import { resolve } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import { parseContainerId } from "../../shared/ids.ts";
import { ContainerSpec } from "../../shared/spec.ts";
import { change, command } from "./command.ts";

export const create = command({
  command: "create [id]",
  describe: "Create a container from an OCI bundle or a template of Proxmox's; start runs it",
  builder: (yargs) =>
    yargs
      .positional("id", { type: "string", describe: "container id" })
      .option("name", { type: "string", requiresArg: true, describe: "the container id, said as an option" })
      .option("bundle", {
        alias: "b",
        type: "string",
        requiresArg: true,
        defaultDescription: "the current folder",
        describe: "folder with config.json",
      })
      .option("image", {
        type: "string",
        requiresArg: true,
        describe: "a template of Proxmox's, as in local:vztmpl/FILE; see pveam list local",
      })
      .option("runtime", {
        choices: ["crun", "lxc"] as const,
        defaultDescription: "lxc for an image, else crun",
        describe: "what runs it",
      }),
  async handler({ id, name, bundle, image, runtime, ...globals }) {
    if ((id === undefined) === (name === undefined))
      throw new NexcageError("USAGE", "create needs one container id", {
        hint: "nexcage-agent create --bundle DIR ID, or --name ID",
      });
    const containerId = parseContainerId(id ?? name ?? "");
    const spec = ContainerSpec.safeParse({
      id: containerId,
      runtime: runtime ?? (image === undefined ? "crun" : "lxc"),
      source: sourceOf({ bundle, image }),
    });
    if (!spec.success)
      throw new NexcageError("USAGE", `${JSON.stringify(image)} is no template`, {
        hint: "as in local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst; see pveam list local",
      });
    await change(globals, ({ runtime: api }, options) => api.create(spec.data, options));
  },
});

function sourceOf({ bundle, image }: { bundle: string | undefined; image: string | undefined }) {
  if (image === undefined) return { kind: "bundle", path: resolve(bundle ?? ".") };
  if (bundle !== undefined)
    throw new NexcageError("USAGE", "--bundle and --image cannot stand beside each other");
  return { kind: "template", volume: image };
}
