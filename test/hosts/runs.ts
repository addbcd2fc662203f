import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import * as z from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { findHierarchies, killCgroups, removeCgroups } from "./cgroups.ts";
import { addressIn, isInSubnet, prefixLength, runCount, runName } from "./network.ts";
import { identify, isAlive } from "./processes.ts";

/** Where each run is written down, so that whoever comes later can remove it. */
export const recordsDir = "/run/nexcage-test-hosts";

const Run = z.object({
  id: z.int(),
  owner: z.object({ pid: z.int(), startTime: z.string() }),
  /** Everything of the run on disk. */
  dir: z.string(),
  /** Whether a person has started it, who will take it down the same way. */
  byHand: z.boolean(),
  /** The run's cgroup in each hierarchy. */
  cgroups: z.array(z.string()),
});
/** The hosts that one process has started together. */
export type Run = z.infer<typeof Run>;

type ClaimOptions = { dir: string | undefined; byHand: boolean };

/**
 * Takes a number that no other run on this machine has, with the subnet, the bridge and the cgroups that
 * belong to it. From here on a crash leaves nothing that `sweepRuns` would not find.
 * @throws {NexcageError} `INTERNAL` when all numbers are taken
 */
export async function claimRun({ dir, byHand }: ClaimOptions): Promise<Run> {
  const owner = await identify(process.pid);
  if (owner === undefined) throw new NexcageError("INTERNAL", "/proc does not show this process");
  const hierarchies = await findHierarchies();
  await mkdir(recordsDir, { recursive: true });
  for (let attempt = 0; attempt < runCount; attempt++) {
    const id = (owner.pid + attempt) % runCount;
    if (isSubnetTaken(id)) continue;
    const run: Run = {
      id,
      owner,
      dir: dir ?? join("/var/tmp", runName(id)),
      byHand,
      cgroups: hierarchies.map(({ mountPoint }) => join(mountPoint, runName(id))),
    };
    if (await writeRecord(run)) return run;
  }
  throw new NexcageError("INTERNAL", `all ${runCount} subnets for test hosts are taken`);
}

/** Makes the machine's side of the run's network. */
export async function makeBridge({ id }: Run): Promise<void> {
  const bridge = runName(id);
  await ip([
    `link add ${bridge} type bridge`,
    `address add ${addressIn(id, 1)}/${prefixLength} dev ${bridge}`,
    `link set ${bridge} up`,
  ]);
}

/** All runs that are written down, those of dead owners too; what another version has written is left to it. */
export async function listRuns(): Promise<Run[]> {
  const names = await readdir(recordsDir).catch(noneIfMissing);
  const records = names.filter((name) => /^\d+\.json$/.test(name)).map((name) => join(recordsDir, name));
  const texts = (
    await Promise.all(records.map((path) => readFile(path, "utf8").catch(noneIfMissing)))
  ).flat();
  return texts.flatMap((text) => Run.safeParse(JSON.parse(text)).data ?? []);
}

/** Removes the runs whose owners have gone; gives back those that it removed. */
export async function sweepRuns(): Promise<Run[]> {
  if ((await listStaleRuns()).length === 0) return [];
  // Two who remove the same run could meet a third, who has just taken its number.
  await using _lock = await lockRecords();
  const stale = await listStaleRuns();
  for (const run of stale) await removeRun(run);
  return stale;
}

async function listStaleRuns(): Promise<Run[]> {
  const runs = await listRuns();
  const alive = await Promise.all(runs.map(({ owner }) => isAlive(owner)));
  return runs.filter((_, index) => !alive[index]);
}

/** A lock of the kernel's: it ends with its holder, however that ends. */
async function lockRecords(): Promise<AsyncDisposable> {
  const holder = execa("flock", [recordsDir, "sh", "-c", "echo locked; exec cat"], {
    reject: false,
    timeout: 60_000,
  });
  await once(holder.stdout, "data", { signal: AbortSignal.timeout(60_000) });
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await holder;
    },
  };
}

/** Ends all of a run's processes and removes what it has made; its record goes last. */
export async function removeRun({ id, dir, cgroups }: Run): Promise<void> {
  await killCgroups(cgroups);
  await removeCgroups(cgroups);
  const bridge = runName(id);
  const ports = await readdir(`/sys/class/net/${bridge}/brif`).catch(noneIfMissing);
  await ip(
    [...ports, bridge].map((name) => `link delete ${name}`),
    { force: true },
  );
  await rm(dir, { recursive: true, force: true });
  await rm(recordPath(id), { force: true });
}

/** Runs lines of `ip -batch`; with `force` it goes on after one that fails. */
export async function ip(lines: string[], { force = false } = {}): Promise<void> {
  const { failed, shortMessage, stderr } = await execa("ip", [...(force ? ["-force"] : []), "-batch", "-"], {
    input: lines.join("\n"),
    reject: false,
    timeout: 30_000,
  });
  if (failed && !force) throw new NexcageError("RUNTIME_FAILED", `${shortMessage}: ${stderr}`);
}

function recordPath(id: number): string {
  return join(recordsDir, `${id}.json`);
}

/** False when another run has this number: `link` makes the whole record appear at once, or not at all. */
async function writeRecord(run: Run): Promise<boolean> {
  const draft = join(recordsDir, `.${run.id}.${randomUUID()}`);
  await writeFile(draft, JSON.stringify(run));
  try {
    await link(draft, recordPath(run.id));
    return true;
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    return false;
  } finally {
    await rm(draft);
  }
}

function isSubnetTaken(id: number): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ address, family }) => family === "IPv4" && isInSubnet(id, address));
}

function noneIfMissing(error: unknown): [] {
  if (hasCode(error, "ENOENT")) return [];
  throw error;
}
