import { join } from "node:path";
import * as z from "zod";
import type { ContainerId } from "../../../shared/ids.ts";
import { exists, readText } from "../../state/files.ts";
import type { Client } from "../backend.ts";
import { parseFile } from "./json-file.ts";
import type { Place } from "./oci-runtime.ts";

/*
 * A container that an OCI client made through the launcher (native/oci/), such as podman: nobody here has a record of
 * it, and what it is stands in the runtime's own files.
 */

const annotationsMaxBytes = 16 * 1024;
/** It is printed on terminals. */
const plainName = /^[\w.-]{1,64}$/;

const Status = z.object({ bundle: z.string(), created: z.string(), owner: z.string().optional() });
const Config = z.object({ annotations: z.record(z.string(), z.string()).optional() });

/** A container of ours has a folder for its monitor before the runtime is asked to make it. */
export function isClients(id: ContainerId, { kind, paths }: Place): boolean {
  return !exists(paths.io(id, kind.name));
}

/** What its client said of it; undefined where its files do not say it, as of one that is half made. */
export function clientOf(id: ContainerId, { kind, paths }: Place): Client | undefined {
  const folder = join(paths.runtimeRoot(kind.name), id);
  const status = parseFile(Status, readText(join(folder, "status")));
  if (status === undefined) return undefined;
  const config = parseFile(Config, readText(join(folder, "config.json")));
  const annotations = config?.annotations ?? {};
  const { bundle, created, owner = "root" } = status;
  const createdAt = z.iso.datetime().safeParse(created).data;
  return {
    name:
      [nameOf({ bundle, annotations }), owner].find((one) => plainName.test(one ?? "")) ?? "an OCI client",
    bundle,
    // A host's list goes through one frame, and these are anybody's words.
    annotations: JSON.stringify(annotations).length > annotationsMaxBytes ? {} : annotations,
    ...(createdAt !== undefined && { createdAt }),
  };
}

/** By what they leave: podman 4.3 its annotation, containerd 1.6 its bundles below /run/containerd. */
function nameOf({ bundle, annotations }: Pick<Client, "bundle" | "annotations">): string | undefined {
  const manager = annotations["io.container.manager"];
  if (manager !== undefined) return manager === "libpod" ? "podman" : manager;
  return bundle.includes("/io.containerd.runtime.v2.task/") ? "containerd" : undefined;
}
