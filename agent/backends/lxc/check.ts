import { existsSync } from "node:fs";
import * as z from "zod";
import { NexcageError } from "../../../shared/errors.ts";
import { containerStorages, lacksOf, type ProxmoxNode, templateOf } from "../../../shared/proxmox-node.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { readJson, readText } from "../../state/files.ts";
import { bridges, type Guest, hasQuorum, nodeName, readGuestsElsewhere } from "./guests.ts";
import { requireMappable } from "./mappable.ts";
import { readStorages, readTemplates, templateFolder } from "./storages.ts";

/**
 * Refuses what a create would fail for, or worse would not: pct takes any bridge, and looks for the template
 * after it has made the volumes. Touches nothing.
 * @returns the storage on which the guest will be, the volume of its template, and the guest that it replaces
 * @throws {NexcageError} `SPEC_REFUSED`, `IMAGE_MISSING`, `RUNTIME_FAILED` without a quorum
 */
export function requireGuestPossible(
  spec: ContainerSpec,
  { aside, wasHere }: { aside: Guest | undefined; wasHere: boolean },
): { storage: string; template: string | undefined; aside: Guest | undefined } {
  requireMappable(spec);
  requireQuorum();
  requireNoMaintenance();
  requireNotMigrated(spec, { wasHere });
  const node = readNode();
  requireOnNode(spec, node);
  requireBindSources(spec);
  requireDevices(spec);
  requirePool(spec);
  if (aside !== undefined && aside.vmid === spec.proxmox?.vmid)
    throw new NexcageError(
      "SPEC_REFUSED",
      `proxmox.vmid: ${aside.vmid} is the container's that ${spec.id} is to replace, and one number is not for two`,
      { hint: `delete it first: nexcage fleet delete ${spec.id}; or leave out vmid` },
    );
  const storage = spec.proxmox?.storage ?? containerStorages(node)[0] ?? "";
  return { storage, template: templateOf(spec, node), aside };
}

/** @throws {NexcageError} `RUNTIME_FAILED` */
export function requireQuorum(): void {
  if (hasQuorum()) return;
  throw new NexcageError("RUNTIME_FAILED", "the cluster has no quorum: /etc/pve cannot be written", {
    hint: "pvecm status tells which nodes are missing",
  });
}

/**
 * A node that is being emptied takes nothing new. Source: ha-manager(1), `crm-command node-maintenance`.
 * @throws {NexcageError} `REFUSED`
 */
export function requireNoMaintenance(): void {
  const node = nodeName();
  const { node_status: status } =
    readJson("/etc/pve/ha/manager_status", ManagerStatus, "see ha-manager status") ?? {};
  if (status?.[node] !== "maintenance") return;
  throw new NexcageError("REFUSED", `node ${node} is in maintenance: nothing is started there`, {
    hint: `when it is over: ha-manager crm-command node-maintenance disable ${node}`,
  });
}

/** What the HA manager thinks of the nodes. */
const ManagerStatus = z.object({ node_status: z.record(z.string(), z.string()).optional() });

/** What Proxmox has migrated runs on another node: a second one must not come beside it. */
function requireNotMigrated({ id }: ContainerSpec, { wasHere }: { wasHere: boolean }): void {
  const here = nodeName();
  const isFromHere = ({ mark, node }: Guest & { node: string }): boolean =>
    mark?.id === id && (mark.node === here || (wasHere && mark.node !== node));
  const moved = readGuestsElsewhere().find(isFromHere);
  if (moved === undefined) return;
  throw new NexcageError(
    "CONTAINER_EXISTS",
    `${id} was migrated from ${here} to ${moved.node}, as ${moved.vmid}`,
    {
      hint: `name its new host in the fleet, or migrate it back, on ${moved.node}: pct migrate ${moved.vmid} ${here}`,
    },
  );
}

/** @returns the node, as `lacksOf` looks at it */
export function readNode(): ProxmoxNode {
  const name = nodeName();
  const storages = readStorages(name);
  return {
    name,
    architecture: process.arch,
    storages: storages.map((storage) => ({
      name: storage.name,
      content: storage.content,
      isFolder: templateFolder(storage) !== undefined,
    })),
    templates: readTemplates(storages),
    bridges: bridges(),
  };
}

function requireOnNode(spec: ContainerSpec, node: ProxmoxNode): void {
  const [lack] = lacksOf(spec, node, { files: true, mounts: true, networks: true });
  if (lack === undefined) return;
  const code = lack.kind === "template" ? "IMAGE_MISSING" : "SPEC_REFUSED";
  throw new NexcageError(code, lack.message, { hint: lack.hint });
}

function requireBindSources({ mounts = [] }: ContainerSpec): void {
  for (const mount of mounts)
    if (mount.type === "bind" && !existsSync(mount.source))
      throw new NexcageError("SPEC_REFUSED", `volumes: ${mount.source} does not exist on this host`, {
        hint: "make it there, a folder or a file, then apply again",
      });
}

function requireDevices({ devices = [] }: ContainerSpec): void {
  for (const { path } of devices)
    if (!existsSync(path))
      throw new NexcageError("SPEC_REFUSED", `devices: ${path} does not exist on this host`, {
        hint: "is its module loaded? ls /dev",
      });
}

/** pct would look only after the container's volumes were made. Source: user.cfg, `pool:NAME:COMMENT:VMIDS:STORAGES:`. */
function requirePool({ proxmox }: ContainerSpec): void {
  const wanted = proxmox?.pool;
  const pools = [...(readText("/etc/pve/user.cfg") ?? "").matchAll(/^pool:([^:]+):/gm)].map(
    ([, name]) => name,
  );
  if (wanted === undefined || pools.includes(wanted)) return;
  throw new NexcageError("SPEC_REFUSED", `proxmox.pool: there is no pool ${wanted}`, {
    hint: `those that there are: ${pools.join(", ") || "none"}; to make it: pvesh create /pools --poolid ${wanted}`,
  });
}
