import { statSync } from "node:fs";
import { join } from "node:path";
import type { Exit } from "../../../shared/container.ts";
import { ContainerId } from "../../../shared/ids.ts";
import type { Paths } from "../../paths.ts";
import { exists, readNames, readText } from "../../state/files.ts";
import { findProcess, type ProcessStat, readProcess } from "../../state/process.ts";
import { noteUnrepeatable } from "../../state/readings.ts";
import type { Live } from "../backend.ts";
import { clientOf, isClients } from "./client.ts";
import { ExitRecord } from "./exit-record.ts";
import { parseFile } from "./json-file.ts";
import type { Init, Place } from "./oci-runtime.ts";

/*
 * What a container is doing, from the files of its runtime, our monitor and the kernel, without asking the runtime:
 * libcrun's own call takes 0.3 ms and a sealed process that has loaded it, runc's a process.
 */

/** The parent of a container's init, cut at 15 bytes as the kernel has it. */
export const monitorName = "nexcage-monitor";
const makerNames = ["nexcage-forker", "nexcage-shim"];

export function lookAt(id: ContainerId, place: Place): Live | undefined {
  const { kind, paths } = place;
  const folder = join(paths.runtimeRoot(kind.name), id);
  const init = kind.readInit(folder);
  if (init === undefined) {
    if (exists(folder)) return { status: "creating", pid: 0 };
    // The host went down after it had ended.
    const ending = readEnding(id, paths, undefined);
    return ending === undefined ? undefined : { status: "stopped", pid: 0, ...ending };
  }
  if (isClients(id, place)) return { ...lookAtInit(folder, init), client: clientOf(id, place) };
  const living = findProcess(init.pid, init.startTicks);
  if (living === undefined) return { status: "stopped", pid: 0, ...endOf(id, init, place) };
  const status = statusOf(folder, init);
  return { status, pid: living.pid, ...watchOf(id, status, living, place) };
}

/** One that has no monitor: how it ended nobody here knows. */
function lookAtInit(folder: string, init: Init): Pick<Live, "status" | "pid"> {
  const living = findProcess(init.pid, init.startTicks);
  if (living === undefined) return { status: "stopped", pid: 0 };
  return { status: statusOf(folder, init), pid: living.pid };
}

/** Of one whose init lives. */
function statusOf(folder: string, init: Init): "created" | "paused" | "running" {
  if (exists(join(folder, "exec.fifo"))) return "created";
  return isFrozen(init.cgroup) ? "paused" : "running";
}

/** Those that the runtime has a state of. */
export function containerIds({ kind, paths }: Place): ContainerId[] {
  return readNames(paths.runtimeRoot(kind.name)).flatMap((name) => ContainerId.safeParse(name).data ?? []);
}

/** Who holds the lock of the container's monitor: the monitor itself, or who makes it; 0 for nobody. */
export function watcherOf(id: ContainerId, { kind, paths }: Place): number {
  noteUnrepeatable(); // the locks of a whole host
  const file = statSync(join(paths.io(id, kind.name), "monitor"), { throwIfNoEntry: false });
  if (file === undefined) return 0;
  // proc(5): `1: POSIX  ADVISORY  WRITE PID MAJOR:MINOR:INODE START END`; a monitor's is the only one on it.
  const device = [file.dev >> 8, file.dev & 0xff].map((part) => part.toString(16).padStart(2, "0")).join(":");
  const end = ` ${device}:${file.ino} 0 EOF`;
  const line = (readText("/proc/locks") ?? "").split("\n").find((one) => one.endsWith(end));
  return Number(line?.slice(0, -end.length).split(" ").at(-1) ?? 0);
}

type Watch = Pick<Live, "monitor" | "unwatched">;

/**
 * A monitor is the init's parent, as who makes a container is, who becomes its monitor; one that came later, for
 * one that was killed, is not, but has its lock. To read all locks stops the kernel's for 10 ms.
 */
function watchOf(id: ContainerId, status: Live["status"], init: ProcessStat, place: Place): Watch {
  const parent = readProcess(init.ppid)?.command ?? "";
  if (parent === monitorName || makerNames.includes(parent)) return { monitor: "alive" };
  if (watcherOf(id, place) === 0) return { monitor: "lost", unwatched: true };
  // Who makes a container has the lock too, and becomes its monitor.
  return { monitor: status === "created" ? "alive" : "lost" };
}

function endOf(id: ContainerId, init: Init, place: Place): Pick<Live, "exit" | "monitor"> {
  const ending = readEnding(id, place.paths, init);
  if (ending !== undefined) return ending;
  return { monitor: watcherOf(id, place) > 0 ? "alive" : "lost" };
}

/** How a container ended: this init of it, where there is one still to be told apart. */
function readEnding(
  id: ContainerId,
  paths: Paths,
  init: Init | undefined,
): { exit: Exit; monitor?: "lost" } | undefined {
  const record = parseFile(ExitRecord, readText(paths.exit(id)));
  if (record === undefined) return undefined;
  const { exitCode, signal, oomKilled, finishedAt, lost, pid, startTime } = record;
  if (init !== undefined && (pid !== init.pid || startTime !== init.startTicks)) return undefined;
  const exit: Exit = {
    ...(exitCode !== undefined && { exitCode }),
    ...(signal !== undefined && { signal }),
    ...(oomKilled && { oomKilled }),
    finishedAt,
  };
  return lost === true ? { exit, monitor: "lost" } : { exit };
}

/** `freezer.state` of cgroup v1, `cgroup.freeze` of v2. */
function isFrozen(cgroup: string): boolean {
  const v1 = readText(`/sys/fs/cgroup/freezer${cgroup}/freezer.state`);
  if (v1 !== undefined) return !v1.startsWith("THAWED");
  return readText(`/sys/fs/cgroup${cgroup}/cgroup.freeze`)?.startsWith("1") ?? false;
}
