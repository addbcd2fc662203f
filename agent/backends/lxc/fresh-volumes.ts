import { join } from "node:path";
import * as z from "zod";
import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import { readJson, readText, removeWhole, writeWhole } from "../../state/files.ts";
import type { LockFile } from "../../state/lock.ts";
import { configFile, readGuest } from "./guests.ts";
import { type PctOptions, runProgram } from "./pct.ts";

/*
 * `pct set` makes a volume first and names it in the configuration afterwards: cut off between, it leaves one
 * that nothing names. What a guest had before is written down, so that such a volume is known for ours.
 */

/** What a guest had on the storages where a change makes volumes. */
const Claim = z.object({ vmid: z.int(), before: z.record(z.string(), z.array(z.string())) });

type Options = { paths: Paths; lockFile: LockFile; log: Log };
type Owner = { id: ContainerId; vmid: number };

const timeoutMs = 60_000;

/** The storage on which a value of `mpN` has a volume made, `STORAGE:GIB,…`; undefined where it makes none. Pure. */
export function storageOfFresh(value: string): string | undefined {
  return /^([^/:,][^:,]*):[\d.]+(,|$)/.exec(value)?.[1];
}

/** The storages on which options of `pct set` have volumes made. Pure. */
export function storagesOfFresh(options: ReadonlyMap<string, string>): Set<string> {
  return new Set(
    [...options].flatMap(([key, value]) => (/^mp\d+$/.test(key) ? (storageOfFresh(value) ?? []) : [])),
  );
}

/** The volumes of a listing by `pvesm list`: a head, then a volume a line, its name first. Pure. */
export function parseVolumes(listing: string): string[] {
  const [, ...lines] = listing.split("\n");
  return lines.flatMap((line) => line.split(/\s+/, 1).filter((name) => name !== ""));
}

/** Writes down, durably, what a guest has on the storages where it is about to get volumes. */
export async function claimVolumes({ id, vmid }: Owner, storages: Iterable<string>, options: Options) {
  const before: Record<string, string[]> = {};
  for (const storage of storages) before[storage] = await listVolumes(storage, vmid, options);
  await writeWhole(claimFile(id, options.paths), JSON.stringify({ vmid, before }), { mode: 0o600 });
}

/** The change is done: its volumes have names. */
export function dropVolumeClaim(id: ContainerId, paths: Paths): void {
  removeWhole(claimFile(id, paths));
}

/**
 * Frees what a cut-off change has made for a container and nothing names: no volume that was there before, none
 * of another guest, and none while somebody has the guest's lock, who may be about to name it.
 * @throws {NexcageError} `RUNTIME_FAILED` where Proxmox does not list or free it
 */
export async function freeUnnamed(id: ContainerId, options: Options): Promise<void> {
  const { paths, log } = options;
  const claim = readJson(claimFile(id, paths), Claim, "remove it, and see what nothing names: pct rescan");
  if (claim === undefined) return;
  const { vmid, before } = claim;
  const signal = AbortSignal.timeout(timeoutMs);
  await using _lock = await options.lockFile(`/run/lock/lxc/pve-config-${vmid}.lock`, {
    ...{ wait: true, keep: true, signal },
  });
  const named = new Set((readText(configFile(vmid)) ?? "").split(/[\s,=]+/));
  // Else its number is somebody else's by now, and so are its volumes.
  if (readGuest(vmid)?.mark?.id === id)
    for (const [storage, known] of Object.entries(before))
      for (const volume of await listVolumes(storage, vmid, options)) {
        if (known.includes(volume) || named.has(volume)) continue;
        log.warn({ containerId: id, vmid, volume }, "a change was cut off: its volume, unnamed, is freed");
        await pvesm(["free", volume], options);
      }
  dropVolumeClaim(id, paths);
}

async function listVolumes(storage: string, vmid: number, options: Pick<PctOptions, "log">) {
  return parseVolumes(await pvesm(["list", storage, "--vmid", String(vmid)], options));
}

async function pvesm(args: string[], { log }: Pick<PctOptions, "log">): Promise<string> {
  const signal = new AbortController().signal; // what has begun is finished
  const { exitCode, stdout, stderr } = await runProgram("pvesm", args, { log, signal, timeoutMs });
  if (exitCode === 0) return stdout;
  const said = stderr.trim().split("\n").at(-1) ?? "";
  throw new NexcageError("RUNTIME_FAILED", `pvesm ${args.join(" ")}: ${said || "no reason given"}`, {
    hint: "is that storage there? pvesm status",
  });
}

function claimFile(id: ContainerId, paths: Paths): string {
  return join(paths.volumeClaims, `${id}.json`);
}
