import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Exit } from "../../../shared/container.ts";
import { ContainerId } from "../../../shared/ids.ts";
import type { Paths } from "../../paths.ts";
import { readNames, readText } from "../../state/files.ts";
import { findProcess, type ProcessStat, readProcess } from "../../state/process.ts";
import type { Live } from "../backend.ts";
import { ExitRecord } from "./exit-record.ts";

/*
 * What a container is doing, from the files of libcrun 1.21, our monitor and the kernel, without libcrun:
 * its own call takes 0.3 ms and a sealed process that has loaded it.
 */

/** `<root>/<id>/status`, as libcrun writes it when the container is made. */
const Status = z.object({ pid: z.int(), "process-start-time": z.int(), "cgroup-path": z.string() });

/** The parent of a container's init, cut at 15 bytes as the kernel has it. */
export const monitorName = "nexcage-monitor";
const makerName = "nexcage-forker";

/** A container's init, alive or not. */
export type Init = { pid: number; startTicks: number; cgroup: string };

export function lookAt(id: ContainerId, paths: Paths): Live | undefined {
  const folder = join(paths.crunRoot, id);
  const init = readInit(id, paths);
  if (init === undefined) {
    if (existsSync(folder)) return { status: "creating", pid: 0 };
    // The host went down after it had ended.
    const ending = readEnding(id, paths, undefined);
    return ending === undefined ? undefined : { status: "stopped", pid: 0, ...ending };
  }
  const living = findProcess(init.pid, init.startTicks);
  if (living === undefined) return { status: "stopped", pid: 0, ...endOf(id, init, paths) };
  const status = existsSync(join(folder, "exec.fifo"))
    ? "created"
    : isFrozen(init.cgroup)
      ? "paused"
      : "running";
  return { status, pid: living.pid, ...watchOf(id, status, living, paths) };
}

/** Those that libcrun has a state of. */
export function containerIds(paths: Paths): ContainerId[] {
  return readNames(paths.crunRoot).flatMap((name) => ContainerId.safeParse(name).data ?? []);
}

/** Undefined where libcrun has none of this name, or a half-made one. */
export function readInit(id: ContainerId, paths: Paths): Init | undefined {
  const status = parse(Status, readText(join(paths.crunRoot, id, "status")));
  if (status === undefined) return undefined;
  return { pid: status.pid, startTicks: status["process-start-time"], cgroup: status["cgroup-path"] };
}

/** True while somebody holds the lock of the container's monitor: the monitor itself, or who makes it. */
export function isWatched(id: ContainerId, paths: Paths): boolean {
  const file = statSync(join(paths.io(id), "monitor"), { throwIfNoEntry: false });
  if (file === undefined) return false;
  // proc(5): `1: POSIX  ADVISORY  WRITE PID MAJOR:MINOR:INODE START END`; a monitor's is the only one on it.
  const device = [file.dev >> 8, file.dev & 0xff].map((part) => part.toString(16).padStart(2, "0")).join(":");
  return (readText("/proc/locks") ?? "").includes(` ${device}:${file.ino} 0 EOF`);
}

type Watch = Pick<Live, "monitor" | "unwatched">;

/**
 * A monitor is the init's parent, as who makes a container is, who becomes its monitor; one that came later, for
 * one that was killed, is not, but has its lock. To read all locks stops the kernel's for 10 ms.
 */
function watchOf(id: ContainerId, status: Live["status"], init: ProcessStat, paths: Paths): Watch {
  const parent = readProcess(init.ppid)?.command ?? "";
  if (parent === monitorName || parent === makerName) return { monitor: "alive" };
  if (!isWatched(id, paths)) return { monitor: "lost", unwatched: true };
  // Who makes a container has the lock too, and becomes its monitor.
  return { monitor: status === "created" ? "alive" : "lost" };
}

function endOf(id: ContainerId, init: Init, paths: Paths): Pick<Live, "exit" | "monitor"> {
  const ending = readEnding(id, paths, init);
  if (ending !== undefined) return ending;
  return { monitor: isWatched(id, paths) ? "alive" : "lost" };
}

/** How a container ended: this init of it, where there is one still to be told apart. */
function readEnding(
  id: ContainerId,
  paths: Paths,
  init: Init | undefined,
): { exit: Exit; monitor?: "lost" } | undefined {
  const record = parse(ExitRecord, readText(paths.exit(id)));
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

/** Files that others write whole; what is no such file is none. */
function parse<S extends z.ZodType>(schema: S, text: string | undefined): z.infer<S> | undefined {
  if (text === undefined) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** `freezer.state` of cgroup v1, `cgroup.freeze` of v2. */
function isFrozen(cgroup: string): boolean {
  const v1 = readText(`/sys/fs/cgroup/freezer${cgroup}/freezer.state`);
  if (v1 !== undefined) return !v1.startsWith("THAWED");
  return readText(`/sys/fs/cgroup${cgroup}/cgroup.freeze`)?.startsWith("1") ?? false;
}
