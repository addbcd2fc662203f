import { join } from "node:path";
import * as z from "zod";
import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import type { Paths } from "../../paths.ts";
import { readJson, readNames, removeWhole, writeWhole } from "../../state/files.ts";
import type { LockFile } from "../../state/lock.ts";

/** A number that a container of ours is being made under: what is half made there is ours to remove. */
const Claim = z.object({ vmid: z.int() });

type Options = { paths: Paths; lockFile: LockFile; signal: AbortSignal };

/** The lowest free number of a range; undefined where all are taken. Pure. */
export function lowestFree(
  [from, to]: readonly [number, number],
  taken: ReadonlySet<number>,
): number | undefined {
  for (let vmid = from; vmid <= to; vmid++) if (!taken.has(vmid)) return vmid;
  return undefined;
}

/** Proxmox's own range, where a spec has none. */
const defaultRange = [100, 999_999] as const;

/**
 * Claims a number for a container that is about to be made, durably, so that a killed agent's half-made guest
 * is known for its own. Proxmox may still have given it away: the create tells, and then another is claimed.
 * @param taken asked under this host's lock
 * @throws {NexcageError} `SPEC_REFUSED` when there is no free one
 */
export async function claimVmid(
  { id, proxmox }: ContainerSpec,
  taken: () => ReadonlySet<number>,
  { paths, lockFile, signal }: Options,
): Promise<number> {
  await using _lock = await lockFile(join(paths.lock, "vmids"), { wait: true, signal });
  const others = new Set(readClaims(paths).flatMap(([owner, vmid]) => (owner === id ? [] : [vmid])));
  const isTaken = taken().union(others);
  const range = proxmox?.vmidRange ?? defaultRange;
  const vmid = proxmox?.vmid ?? lowestFree(range, isTaken);
  if (vmid === undefined)
    throw new NexcageError("SPEC_REFUSED", `proxmox.vmid_range: all of ${range.join("-")} are taken`);
  if (isTaken.has(vmid))
    throw new NexcageError("SPEC_REFUSED", `proxmox.vmid: ${vmid} is taken in this cluster`, {
      hint: `choose another; to take over what is there: nexcage fleet adopt HOST ${vmid}`,
    });
  await writeWhole(claimFile(id, paths), JSON.stringify({ vmid }), { mode: 0o600 });
  return vmid;
}

export function readClaim(id: ContainerId, paths: Paths): number | undefined {
  return readJson(claimFile(id, paths), Claim, "remove it, and see what is left there: pct list")?.vmid;
}

/** The guest stands, or is gone: its own mark tells the rest. */
export async function dropClaim(id: ContainerId, paths: Paths): Promise<void> {
  removeWhole(claimFile(id, paths));
}

function readClaims(paths: Paths): [id: string, vmid: number][] {
  return readNames(paths.claims).flatMap((name): [string, number][] => {
    const id = name.replace(/\.json$/, "");
    const claim = name.endsWith(".json") && readJson(join(paths.claims, name), Claim, `remove ${name}`);
    return claim ? [[id, claim.vmid]] : [];
  });
}

function claimFile(id: ContainerId, paths: Paths): string {
  return join(paths.claims, `${id}.json`);
}
