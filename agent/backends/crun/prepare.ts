import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import type { ConfigOptions, OciConfig } from "./config.ts";

/**
 * The OCI configuration of a container made from an image: podman's defaults with what the spec says
 * over them. Looks at the host (bind sources, open-file limit) and into the image (users).
 * @throws {NexcageError} `SPEC_REFUSED` naming the field: an unknown user, capability or bind source
 */
export async function imageConfig(spec: ContainerSpec, options: ConfigOptions): Promise<OciConfig> {
  throw new NexcageError("INTERNAL", `${spec.id}: ${options.rootfsPath}`);
}

/**
 * The configuration of the bundle that a spec names, with what the spec says over it. `rootfsPath` is
 * given where the container does not run on the bundle's own root.
 * @throws {NexcageError} `BUNDLE_INVALID` with file, line and column or field; `SPEC_REFUSED`
 */
export async function bundleConfig(
  bundle: string,
  spec: ContainerSpec | undefined,
  options: Omit<ConfigOptions, "rootfsPath"> & { rootfsPath?: string },
): Promise<OciConfig> {
  throw new NexcageError("INTERNAL", `${spec?.id}: ${bundle} ${options.cgroupsPath}`);
}
