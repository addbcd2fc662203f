import { readFileSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { hasCode, NexcageError } from "../../../shared/errors.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { type Accounts, readAccounts, userOf } from "../users.ts";
import { capabilitiesOfMask } from "./capabilities.ts";
import { type HostFacts, type OciConfig, ociConfig } from "./config.ts";

export type ConfigOptions = {
  /** `root.path` of the configuration, absolute: where the container's files are once it is made. */
  rootfsPath: string;
  /** Where they can be looked at already: the image, while nothing is mounted on `rootfsPath` yet. */
  imagePath: string;
  /** Reads an image's accounts. */
  accountsOf?: ((imagePath: string) => Promise<Accounts>) | undefined;
  /** `linux.cgroupsPath`, below this agent's own cgroup. */
  cgroupsPath: string;
};

/**
 * The OCI configuration of a container made from an image: podman's defaults with what the spec says
 * over them. Looks at the host (bind sources, limits) and into the image (users).
 * @throws {NexcageError} `SPEC_REFUSED` naming the field
 */
export async function imageConfig(
  spec: ContainerSpec,
  { rootfsPath, imagePath, cgroupsPath, accountsOf = readAccounts }: ConfigOptions,
): Promise<OciConfig> {
  await requireBindSources(spec);
  const user = userOf(spec.user ?? "0", await accountsOf(imagePath));
  return ociConfig(spec, { rootfsPath, cgroupsPath, user, host: readHostFacts() });
}

/** What a configuration takes from this host, as it is now. */
export function readHostFacts(): HostFacts {
  const [limits, status] = ["/proc/self/limits", "/proc/self/status"].map((path) =>
    readFileSync(path, "utf8"),
  );
  const [, openFiles = "1024"] = /^Max open files\s+\S+\s+(\d+)/m.exec(limits ?? "") ?? [];
  const [, bounding = "0"] = /^CapBnd:\s+([0-9a-f]+)/m.exec(status ?? "") ?? [];
  return {
    openFiles: Number(openFiles),
    capabilities: capabilitiesOfMask(bounding),
    architecture: process.arch,
    networkFiles: ["/etc/resolv.conf", "/etc/hosts"].filter((path) =>
      statSync(path, { throwIfNoEntry: false })?.isFile(),
    ),
  };
}

async function requireBindSources(spec: ContainerSpec): Promise<void> {
  for (const mount of spec.mounts ?? []) {
    if (mount.type !== "bind") continue;
    try {
      await stat(mount.source);
    } catch (error) {
      if (!hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
      throw new NexcageError("SPEC_REFUSED", `volumes: ${mount.source} does not exist on this host`, {
        hint: `make it there, a folder or a file, then apply again`,
        details: { source: mount.source, target: mount.target },
        cause: error,
      });
    }
  }
}
