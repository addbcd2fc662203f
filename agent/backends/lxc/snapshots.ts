import { digestOf } from "../../../shared/digest.ts";
import { asNexcageError, NexcageError } from "../../../shared/errors.ts";
import type { OperationId } from "../../../shared/ids.ts";
import { readText } from "../../state/files.ts";
import { configFile, type Guest, readGuest } from "./guests.ts";
import { workersOf } from "./pct.ts";
import type { Storage } from "./storages.ts";

type Run = (words: [string, number, ...string[]]) => Promise<unknown>;

/** A snapshot in a guest's configuration; `state` while it is made or removed. */
export type Snapshot = { name: string; state?: string };

/** The snapshot of an operation, all but that, or what is left of one that was cut off. */
export type Which = { of: OperationId } | { otherThan: OperationId } | "half made" | "all";

const prefix = "nexcage_";

/** The name of the snapshot that is taken before an operation: the same whenever that is tried. Pure. */
export function snapshotName(operationId: OperationId): string {
  return `${prefix}${digestOf(operationId).slice("sha256:".length, "sha256:".length + 12)}`;
}

/**
 * The snapshots that nexcage has taken of a guest. Pure.
 * Source: pve-guest-common, `PVE::AbstractConfig`: `snapstate` is `prepare` or `delete` until it is done.
 * @param text the guest's whole configuration file
 */
export function parseSnapshots(text: string): Snapshot[] {
  return text
    .split(/^(?=\[)/m)
    .slice(1)
    .flatMap((section): Snapshot[] => {
      const name = /^\[([a-z][\w-]+)\]/i.exec(section)?.[1];
      if (name?.startsWith(prefix) !== true) return [];
      const state = /^snapstate:\s*(\S+)/m.exec(section)?.[1];
      return [{ name, ...(state !== undefined && { state }) }];
    });
}

/**
 * Keeps how a guest is now, under the operation that is to change it.
 * @returns why Proxmox cannot; undefined when there is one
 * @throws {NexcageError} what pct says besides, such as `DISK_FULL`
 */
export async function takeSnapshot(
  guest: Guest,
  operationId: OperationId,
  { storages, run }: { storages: readonly Storage[]; run: Run },
): Promise<string | undefined> {
  const { vmid } = guest;
  const name = snapshotName(operationId);
  const isThere = (): boolean => read(vmid).some((one) => one.name === name && one.state === undefined);
  if (isThere()) return undefined;
  try {
    await run(["snapshot", vmid, name, "--description", `before nexcage changed it (${operationId})`]);
  } catch (error) {
    if (!/snapshot feature is not available/.test(asNexcageError(error).message)) throw error;
    return whyNone(guest, storages);
  }
  if (isThere()) return undefined;
  throw new NexcageError("RUNTIME_FAILED", `pct snapshot ${vmid} ${name}: there is none`);
}

/** Where the snapshot of `otherThan` is not there, the earlier ones stay. Those of people always do. */
export async function removeSnapshots(vmid: number, which: Which, { run }: { run: Run }): Promise<void> {
  for (const { name, state } of chosen(read(vmid), which)) {
    const lock = readGuest(vmid)?.config.values.get("lock") ?? "";
    // What a pct that was killed has left: the section is ours, and nobody is at work on it any more.
    if (state !== undefined && /^snapshot/.test(lock) && workersOf(vmid).length === 0)
      await run(["unlock", vmid]);
    await run(["delsnapshot", vmid, name, ...(state === undefined ? [] : ["--force", "1"])]);
  }
}

function chosen(snapshots: Snapshot[], which: Which): Snapshot[] {
  if (which === "all") return snapshots;
  if (which === "half made") return snapshots.filter(({ state }) => state !== undefined);
  const name = snapshotName("of" in which ? which.of : which.otherThan);
  if ("of" in which) return snapshots.filter((one) => one.name === name);
  return snapshots.some((one) => one.name === name) ? snapshots.filter((one) => one.name !== name) : [];
}

function read(vmid: number): Snapshot[] {
  return parseSnapshots(readText(configFile(vmid)) ?? "");
}

/** Pure. */
function whyNone({ vmid, config }: Guest, storages: readonly Storage[]): string {
  const points = [...config.values]
    .filter(([key]) => /^(rootfs|mp\d+)$/.test(key))
    .map(([, value]) => value.split(",")[0] ?? "");
  const folders = points.filter((volume) => volume.startsWith("/"));
  const names = new Set(
    points.filter((volume) => !volume.startsWith("/")).map((volume) => volume.split(":")[0]),
  );
  const types = [...names].map(
    (name) => `${name} (${storages.find((storage) => storage.name === name)?.type ?? "not known"})`,
  );
  const mounted = folders.length === 0 ? "" : `, and has ${folders.join(", ")} of the host mounted`;
  return `Proxmox can make no snapshot of guest ${vmid}, which is on ${types.join(", ")}${mounted}`;
}
