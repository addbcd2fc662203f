import { join } from "node:path";
import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { readBundle } from "../oci-bundle.ts";
import type { OciConfig } from "./config.ts";

/** What the bundle says, and a spec of one must not. */
const saidByBundle = [
  "command",
  "environment",
  "user",
  "workingDir",
  "hostname",
  "mounts",
  "resources",
  "readOnly",
  "capAdd",
  "capDrop",
] as const satisfies (keyof ContainerSpec)[];

/**
 * The configuration of an OCI bundle on this host as it is run: its root absolute (`rootfsPath` where the
 * container has one of its own), its cgroup below ours. The bundle itself is not changed.
 * @throws {NexcageError} `BUNDLE_INVALID` with file and line, or file and field; `SPEC_REFUSED`
 */
export async function bundleConfig(
  spec: ContainerSpec,
  { bundle, cgroupsPath, rootfsPath }: { bundle: string; cgroupsPath: string; rootfsPath?: string },
): Promise<OciConfig> {
  for (const field of saidByBundle)
    if (spec[field] !== undefined)
      throw new NexcageError("SPEC_REFUSED", `${field}: the bundle's own config.json says it`, {
        hint: `change ${join(bundle, "config.json")}`,
      });
  const { config, root } = await readBundle(bundle);
  return {
    ...config,
    root: { ...config.root, path: rootfsPath ?? root },
    linux: { ...config.linux, cgroupsPath },
  };
}
