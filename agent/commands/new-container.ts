import { resolve } from "node:path";
import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { type ContainerId, quoteForMessage } from "../../shared/ids.ts";
import { BackendName, backendNames, ContainerSpec } from "../../shared/spec.ts";
import { type Config, routeOf } from "../config.ts";
import { withId } from "./container-id.ts";

/** What `create` and `run` take. */
export function withContainer<T>(yargs: Argv<T>) {
  return withId(yargs)
    .option("bundle", {
      alias: "b",
      type: "string",
      requiresArg: true,
      defaultDescription: "the current folder",
      completes: "folder",
      describe: "folder with config.json",
    })
    .option("image", {
      type: "string",
      requiresArg: true,
      describe:
        "a template of Proxmox's, by name or volume, as in debian-13-standard or local:vztmpl/FILE; see pveam list local",
    })
    .option("runtime", {
      choices: backendNames,
      defaultDescription: "by the configuration's routing; else lxc for an image, crun for a bundle",
      describe: "what runs it",
    });
}

type Words = { bundle?: string | undefined; image?: string | undefined; runtime?: string | undefined };

/**
 * The container that a command line asks for, with what the configuration says for all of them.
 * @throws {NexcageError} `USAGE`, `BACKEND_UNAVAILABLE` for a runtime that this version does not have
 */
export function specOf(
  id: ContainerId,
  { bundle, image, runtime }: Words,
  config: Config | undefined,
): ContainerSpec {
  if (image !== undefined && bundle !== undefined)
    throw new NexcageError("USAGE", "--bundle and --image cannot stand beside each other");
  const wanted = runtime ?? routeOf(id, config)?.runtime ?? (image === undefined ? "crun" : "lxc");
  const known = BackendName.safeParse(wanted);
  if (!known.success)
    throw new NexcageError("BACKEND_UNAVAILABLE", `this version has no backend ${wanted}`, {
      hint: `say --runtime ${backendNames.join(", ")}; ${config?.file ?? "the configuration"} wants ${wanted} for ${id}`,
    });
  const source =
    image === undefined
      ? { kind: "bundle", path: resolve(bundle ?? ".") }
      : { kind: "template", volume: image };
  const network = wanted === "lxc" ? config?.network : undefined;
  const proxmox = wanted === "lxc" ? config?.proxmox : undefined;
  const spec = ContainerSpec.safeParse({
    id,
    runtime: wanted,
    source,
    ...(network !== undefined && { networks: [network] }),
    ...(proxmox !== undefined && { proxmox }),
  });
  if (spec.success) return spec.data;
  throw new NexcageError("USAGE", `${quoteForMessage(image ?? "")} is no template`, {
    hint: "as in debian-13-standard or local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst; see pveam list local",
  });
}
