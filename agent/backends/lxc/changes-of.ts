import type { ContainerSpec } from "../../../shared/spec.ts";
import { sizeOf } from "./guest-changes.ts";
import { type Guest, macsOf } from "./guests.ts";
import { type MountChanges, mountChanges } from "./mount-points.ts";
import { optionChanges } from "./option-changes.ts";

/**
 * All that pct has to be told so that a guest is as its spec says. Pure.
 * @throws {NexcageError} `SPEC_REFUSED`, as mount-points.ts says
 */
export function changesOf(
  spec: ContainerSpec,
  guest: Guest,
  { before }: { before?: ContainerSpec | undefined },
): MountChanges {
  const { vmid, config, mark } = guest;
  const options = optionChanges(spec, { config, before, macs: macsOf(guest) });
  const [storage = ""] = config.values.get("rootfs")?.split(":") ?? [];
  const now = { vmid, config, volumes: mark?.volumes ?? {} };
  const mounts = mountChanges(spec, { now, before, storage });
  const size = sizeOf(guest, "rootfs");
  const wanted = spec.proxmox?.rootfsBytes;
  const isSmall = size !== undefined && wanted !== undefined && size < wanted; // it never shrinks
  return {
    set: new Map([...options.set, ...mounts.set]),
    remove: [...options.remove, ...mounts.remove],
    grow: [...(isSmall ? [{ key: "rootfs", bytes: wanted }] : []), ...mounts.grow],
    volumes: mounts.volumes,
  };
}
