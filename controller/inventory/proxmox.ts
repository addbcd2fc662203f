import type { Device, Network, ProxmoxOptions, Resources } from "../../shared/spec.ts";
import { formatSize } from "../../shared/units.ts";
import { defined, unlessEmpty } from "./defined.ts";
import type { Container } from "./fleet-schema.ts";
import type { Path } from "./places.ts";
import type { ReportAt } from "./volumes.ts";

/*
 * What a container of Proxmox's says in the YAML, as its spec has it. What Proxmox takes for granted is
 * left out, said or not, so that saying it is no change.
 */

const mebibyte = 1024 ** 2;
/** pct(1): the least that `memory` takes. */
const leastMemoryBytes = 16 * mebibyte;

/** `resources`; on `lxc` in whole MiB, as Proxmox counts. Pure. */
export function makeResources({ runtime, resources }: Container, report: ReportAt): Resources | undefined {
  if (resources === undefined) return undefined;
  const { cpus, memory, swap, pids } = resources;
  if (runtime === "lxc") {
    requireWholeMebibytes(memory, ["resources", "memory"], report);
    requireWholeMebibytes(swap, ["resources", "swap"], report);
    if (memory !== undefined && memory < leastMemoryBytes)
      report(["resources", "memory"], `${formatSize(memory)} is too little`, "Proxmox takes 16m and more");
  }
  return unlessEmpty(defined({ cpus, memoryBytes: memory, swapBytes: swap, pids }));
}

/** `networks`, in the order of the file: the first is Proxmox's net0. Pure. */
export function makeNetworks({ networks = [] }: Container, report: ReportAt): Network[] {
  const seen = new Set<string>();
  return networks.map(({ firewall, ...network }, index) => {
    const path = ["networks", index];
    if (seen.has(network.name)) report([...path, "name"], `"${network.name}" stands here a second time`);
    seen.add(network.name);
    for (const [gateway, ip] of [
      ["gateway", "ip"],
      ["gateway6", "ip6"],
    ] as const)
      if (network[gateway] !== undefined && !isFixed(network[ip]))
        report([...path, gateway], `"${gateway}" means nothing without a fixed address`, `say it in "${ip}"`);
    const { name, bridge, ...rest } = network;
    return { name, bridge, ...defined({ ...rest, firewall: trueOrNothing(firewall) }) };
  });
}

/** `devices`, in the order of the file. Pure. */
export function makeDevices({ devices = [] }: Container, report: ReportAt): Device[] {
  const seen = new Set<string>();
  return devices.map((device, index) => {
    const { path, deny_write: denyWrite, ...rest } = typeof device === "string" ? { path: device } : device;
    if (seen.has(path)) report(["devices", index], `${path} stands here a second time`);
    seen.add(path);
    return { path, ...defined({ ...rest, denyWrite: trueOrNothing(denyWrite) }) };
  });
}

/** `proxmox`. Pure. */
export function makeProxmox({ proxmox }: Container, report: ReportAt): ProxmoxOptions | undefined {
  if (proxmox === undefined) return undefined;
  const { vmid, vmid_range: vmidRange, rootfs_size: rootfsBytes, features, startup, tags } = proxmox;
  if (vmid !== undefined && vmidRange !== undefined)
    report(["proxmox", "vmid_range"], '"vmid_range" cannot stand beside "vmid"', "one of the two says it");
  requireWholeMebibytes(rootfsBytes, ["proxmox", "rootfs_size"], report);
  return unlessEmpty(
    defined({
      vmid,
      vmidRange,
      storage: proxmox.storage,
      rootfsBytes,
      unprivileged: proxmox.unprivileged === false ? false : undefined,
      features:
        features &&
        unlessEmpty(
          defined({
            nesting: trueOrNothing(features.nesting),
            keyctl: trueOrNothing(features.keyctl),
            fuse: trueOrNothing(features.fuse),
            mknod: trueOrNothing(features.mknod),
          }),
        ),
      onboot: trueOrNothing(proxmox.onboot),
      startup: startup && unlessEmpty(defined({ ...startup })),
      tags: unlessEmpty(tags),
      protection: trueOrNothing(proxmox.protection),
      ha: proxmox.ha && {
        state: proxmox.ha.state,
        ...defined({ maxRestart: proxmox.ha.max_restart, maxRelocate: proxmox.ha.max_relocate }),
      },
      cores: proxmox.cores,
      cpuunits: proxmox.cpuunits,
      pool: proxmox.pool,
      nameserver: unlessEmpty(proxmox.nameserver),
      searchdomain: unlessEmpty(proxmox.searchdomain),
      timezone: proxmox.timezone,
      sshPublicKeys: unlessEmpty(proxmox.ssh_public_keys),
      idmap: unlessEmpty(proxmox.idmap),
      templateDownload: trueOrNothing(proxmox.template_download),
    }),
  );
}

/** Whether it is an address, and not a way to get one. */
export function isFixed(ip: string | undefined): ip is string {
  return ip?.includes("/") ?? false;
}

function trueOrNothing(flag: boolean | undefined): true | undefined {
  return flag === true ? flag : undefined;
}

/** Reports a size that is no whole number of MiB. */
export function requireWholeMebibytes(bytes: number | undefined, path: Path, report: ReportAt): void {
  if (bytes === undefined || bytes % mebibyte === 0) return;
  const below = Math.floor(bytes / mebibyte);
  const nearest = below === 0 ? "1m" : `${below}m or ${below + 1}m`;
  report(path, `${bytes} bytes are not a whole number of MiB`, `Proxmox counts in MiB: write ${nearest}`);
}
