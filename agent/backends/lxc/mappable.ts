import { NexcageError } from "../../../shared/errors.ts";
import { type ContainerSpec, volumesOf } from "../../../shared/spec.ts";

const mebibyte = 1024 ** 2;

/**
 * Refuses by name what Proxmox cannot hold. Pure.
 * @throws {NexcageError} `SPEC_REFUSED`
 */
export function requireMappable(spec: ContainerSpec): void {
  const refuse = (field: string, reason: string, hint: string): never => {
    throw new NexcageError("SPEC_REFUSED", `${field}: ${reason}`, { hint });
  };
  if (spec.capAdd !== undefined)
    refuse("cap_add", "LXC adds no capabilities", "leave out cap_drop for those that are dropped");
  if (spec.user !== undefined && !/^\d+(:\d+)?$/.test(spec.user))
    refuse("user", `${JSON.stringify(spec.user)} is a name`, "lxc takes numbers, as in 1000:1000");
  for (const [name, value] of Object.entries(spec.environment ?? {}))
    if (/[\r\n]/.test(value))
      refuse(`environment.${name}`, "a value of several lines cannot be kept by Proxmox", "put it in a file");
  const sizes: [field: string, bytes: number | undefined][] = [
    ["resources.memory", spec.resources?.memoryBytes],
    ["resources.swap", spec.resources?.swapBytes],
    ["proxmox.rootfs_size", spec.proxmox?.rootfsBytes],
    ...volumesOf(spec).map(({ name, sizeBytes }): [string, number] => [`volumes.${name}`, sizeBytes]),
  ];
  for (const [field, bytes] of sizes)
    if (bytes !== undefined && bytes % mebibyte !== 0)
      refuse(field, `${bytes} bytes are no whole number of MiB`, "Proxmox counts in MiB");
  for (const mount of spec.mounts ?? []) {
    const paths = mount.type === "bind" ? mount.source + mount.target : mount.target;
    if (mount.type !== "tmpfs" && /[,\n]/.test(paths))
      refuse("volumes", `${mount.target} has a comma in it`, "pct cannot hold it");
  }
}
