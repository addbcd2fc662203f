import { canonicalJson } from "./digest.ts";
import {
  type BackendName,
  type ContainerSpec,
  defaultRootfsBytes,
  type Mount,
  type ProxmoxOptions,
  type Resources,
  volumesOf,
} from "./spec.ts";

/** What a changed field costs: nothing is interrupted, the container restarts, or it is made anew. */
export type Cost = "hot" | "restart" | "recreate";

/** The fields that a spec can change in; `resources` and `proxmox` one by one, since they are set one by one. */
export type SpecField =
  | Exclude<keyof ContainerSpec, "id" | "resources" | "proxmox">
  | `resources.${keyof Resources}`
  | `proxmox.${keyof ProxmoxOptions}`;

/** Where it depends on what changes. */
type CostOf = (before: ContainerSpec, after: ContainerSpec) => Cost;

type Costs = Partial<Record<SpecField, Cost | CostOf>>;

/** Of an OCI runtime: only what the kernel's control groups and our own record hold can change while one lives. */
const ociCosts: Costs = {
  runtime: "recreate",
  source: "recreate",
  command: "recreate",
  environment: "recreate",
  user: "recreate",
  workingDir: "recreate",
  hostname: "recreate",
  mounts: "recreate",
  readOnly: "recreate",
  capAdd: "recreate",
  capDrop: "recreate",
  "resources.cpus": "hot",
  "resources.memoryBytes": "hot",
  "resources.pids": "hot",
  labels: "hot",
  stopSignal: "hot",
  stopGracePeriodMs: "hot",
};

/**
 * The one table of what a change costs, read by the plan and by the backends; a field that is not there, the
 * backend cannot hold. Proxmox applies some options to a running container, and keeps others for its
 * next start (pct(1), `[pve:pending]`).
 */
export const costs: Record<BackendName, Costs> = {
  crun: ociCosts,
  runc: ociCosts,
  lxc: {
    runtime: "recreate",
    source: "recreate",
    command: "restart",
    environment: "restart",
    user: "restart",
    workingDir: "restart",
    hostname: "restart",
    mounts: costOfMounts,
    readOnly: "recreate",
    capDrop: "restart",
    networks: "hot",
    devices: costOfDevices,
    "resources.cpus": "hot",
    "resources.memoryBytes": "hot",
    "resources.swapBytes": "hot",
    "resources.pids": "restart",
    labels: "hot",
    stopSignal: "restart",
    stopGracePeriodMs: "hot",
    // What has a number keeps it when its file leaves it open.
    "proxmox.vmid": (_before, after) => (after.proxmox?.vmid === undefined ? "hot" : "recreate"),
    "proxmox.vmidRange": "hot",
    "proxmox.storage": "recreate",
    "proxmox.rootfsBytes": "hot",
    "proxmox.unprivileged": "recreate",
    "proxmox.features": "restart",
    "proxmox.onboot": "hot",
    "proxmox.startup": "hot",
    "proxmox.tags": "hot",
    "proxmox.protection": "hot",
    "proxmox.ha": "hot",
    "proxmox.cores": "hot",
    "proxmox.cpuunits": "hot",
    "proxmox.pool": "recreate",
    "proxmox.nameserver": "restart",
    "proxmox.searchdomain": "restart",
    "proxmox.timezone": "restart",
    "proxmox.sshPublicKeys": "recreate",
    "proxmox.idmap": "restart",
    // It is for the next one that is made.
    "proxmox.templateDownload": "hot",
  },
};

/** One field of a spec, before and after; undefined where it is not said. */
export type FieldChange = { field: SpecField; old: unknown; new: unknown; cost: Cost };

/** The fields in which two specs of one container differ, in the order of the table. Pure. */
export function changedFields(before: ContainerSpec, after: ContainerSpec): FieldChange[] {
  const table = costs[after.runtime];
  return (Object.keys(table) as SpecField[]) // its own type
    .map((field) => {
      const { [field]: cost = "recreate" } = table;
      return {
        field,
        old: fieldOf(before, field),
        new: fieldOf(after, field),
        cost: typeof cost === "string" ? cost : cost(before, after),
      };
    })
    .filter((change) => canonicalJson(change.old ?? null) !== canonicalJson(change.new ?? null));
}

function fieldOf(spec: Readonly<Record<string, unknown>>, field: string): unknown {
  const [head = "", ...rest] = field.split(".");
  const value = spec[head];
  if (rest.length === 0 || typeof value !== "object" || value === null)
    return rest.length === 0 ? value : undefined;
  return fieldOf({ ...value }, rest.join("."));
}

/** The dearest of several changes; undefined when there is none. */
export function dearest(changes: FieldChange[]): Cost | undefined {
  const order: Cost[] = ["recreate", "restart", "hot"];
  return order.find((cost) => changes.some((change) => change.cost === cost));
}

/**
 * Proxmox mounts something more, and grows a volume, while the container runs; what else changes waits for its
 * start. Where a root that is read-only has to mount something is made with it.
 */
function costOfMounts(
  { mounts: before = [] }: ContainerSpec,
  { mounts: after = [], readOnly }: ContainerSpec,
): Cost {
  const targets = new Set(before.map(({ target }) => target));
  if (readOnly === true && after.some(({ target }) => !targets.has(target))) return "recreate";
  const withoutSize = (mount: Mount): string =>
    canonicalJson(mount.type === "volume" ? { ...mount, sizeBytes: undefined } : mount);
  const [old, now] = [before.map(withoutSize), after.map(withoutSize)];
  const isKept = old.every((mount) => now.includes(mount));
  const isMounted = after.every((mount, index) => mount.type !== "tmpfs" || old.includes(now[index] ?? ""));
  return isKept && isMounted ? "hot" : "restart";
}

/** A device more is there at once. */
function costOfDevices(
  { devices: before = [] }: ContainerSpec,
  { devices: after = [] }: ContainerSpec,
): Cost {
  const isKept = before.every(
    (device, index) => canonicalJson(device) === canonicalJson(after[index] ?? null),
  );
  return isKept ? "hot" : "restart";
}

/** A size that would have to become less, in bytes; `word` is its word in the YAML. */
export type Shrink = { word: string; before: number; after: number };

/** What would have to shrink, which nothing that holds files does; a new root file system may have any size. Pure. */
export function shrinks(
  before: ContainerSpec,
  after: ContainerSpec,
  { rootfs }: { rootfs: "kept" | "new" },
): Shrink[] {
  const sizes = volumesOf(before).flatMap(({ name, sizeBytes }): Shrink[] => {
    const now = volumesOf(after).find((volume) => volume.name === name);
    return now === undefined ? [] : [{ word: `volumes.${name}`, before: sizeBytes, after: now.sizeBytes }];
  });
  if (rootfs === "kept" && after.runtime === "lxc")
    sizes.unshift({
      word: "proxmox.rootfs_size",
      before: before.proxmox?.rootfsBytes ?? defaultRootfsBytes,
      after: after.proxmox?.rootfsBytes ?? defaultRootfsBytes,
    });
  return sizes.filter((size) => size.after < size.before);
}
