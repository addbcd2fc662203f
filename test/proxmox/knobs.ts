// What a test turns on a host: /etc/nexcage-test-proxmox.json, read by each call anew.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, Failure } from "./failure.ts";
import { knobsFile, privateDir } from "./paths.ts";

export type Knobs = {
  /** What each call takes before it does anything: a real pct compiles Perl for 0.6 s, a busy host 1 s. */
  delayMs?: number;
  /** Default 9. With 8: no `entrypoint`, `env`, `host-managed`, OCI archives; `unprivileged` is 0 by default. */
  pveVersion?: 8 | 9;
  /** Calls that never return: `pct create`, `pvesh`, … */
  hang?: string[];
  /** Storages without room: an allocation there fails. */
  fullStorages?: string[];
  /** Lines that each pct call prints on stderr at exit 0, as for a conf line that it cannot read. */
  warnings?: string[];
  /** `create.volume`, …: the worker waits there until the test lets it go on. See `Stage`. */
  pauseAt?: Stage[];
  /** Without AppArmor a hot `mpN` fails after its volume was made, as it did where the facts were recorded. */
  apparmor?: boolean;
};

/** The moments that were recorded for a killed pct ("What a killed pct leaves"). */
export type Stage =
  | "create.volume" // made and formatted; conf is `lock: create`
  | "create.unpacking" // its root is mounted, part of the template is there
  | "create.written" // the final conf is there, the task has not ended
  | "start.early" // nothing has happened
  | "start.starting" // LXC runs, pct does not know yet
  | "stop.early"
  | "stop.stopped" // LXC has stopped it, the task has not ended
  | "shutdown.waiting" // lxc-stop waits for init
  | "set.volume" // the volume is made, the conf is unchanged
  | "mount.mounted" // all is mounted, `lock: mounted` is there
  | "move.renamed" // the volume has its new name, both confs are unchanged
  | "snapshot.prepared" // the section and `lock: snapshot` are there, no volume has one yet
  | "snapshot.volumes" // each volume has one, the section is not complete
  | "delsnapshot.prepared" // `lock: snapshot-delete`, all else is there
  | "destroy.early"
  | "destroy.volumes"; // the volumes are gone, the conf is unchanged

/** The knobs of this host; all at rest when the file is missing. */
export function readKnobs(): Knobs {
  try {
    const knobs: Knobs = JSON.parse(readFileSync(knobsFile, "utf8"));
    return knobs;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return {};
    throw error;
  }
}

/** The delay, the hang and the warnings that a test asked of this call. */
export async function obeyKnobs(program: string, verb: string | undefined): Promise<void> {
  const { delayMs = 0, hang = [], warnings = [] } = readKnobs();
  if (delayMs > 0) await sleep(delayMs);
  if (hang.includes(program) || hang.includes(`${program} ${verb}`)) await sleep(2 ** 30);
  if (program === "pct") for (const line of warnings) process.stderr.write(`${line}\n`);
}

export function pauseFile(stage: Stage): string {
  return `${privateDir}/paused/${stage}.json`;
}

/**
 * Where a test may stop the worker: it writes down who waits, and waits until that file is removed.
 * @throws {Failure} when the worker is interrupted meanwhile
 */
export async function reach(
  stage: Stage,
  { vmid, signal }: { vmid: string; signal: AbortSignal },
): Promise<void> {
  if (!readKnobs().pauseAt?.includes(stage)) return;
  const file = pauseFile(stage);
  mkdirSync(`${privateDir}/paused`, { recursive: true });
  writeFileSync(file, JSON.stringify({ vmid, worker: process.pid, pct: process.ppid }));
  while (existsSync(file)) {
    if (signal.aborted) {
      rmSync(file);
      throw new Failure("received interrupt");
    }
    await sleep(10);
  }
}
