import { existsSync, rmdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Features } from "../shared/container.ts";
import { hasCode } from "../shared/errors.ts";
import { readNames, readText } from "./state/files.ts";

/** How this process sees the kernel's control groups, by what is mounted below /sys/fs/cgroup. */
export async function cgroupMode(): Promise<Features["cgroups"]> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const point = before.split(" ")[4];
    const type = after.split(" ")[0];
    return point?.startsWith("/sys/fs/cgroup") && type?.startsWith("cgroup") ? [type] : [];
  });
  const v1 = mounts.includes("cgroup");
  const v2 = mounts.includes("cgroup2");
  if (v1) return v2 ? "hybrid" : "v1";
  return v2 ? "v2" : "none";
}

const mountPoint = "/sys/fs/cgroup";
const endTries = 100;
const endPauseMs = 20;

/** Kills all that runs in a cgroup, in each hierarchy, and removes it. `path` is as in `linux.cgroupsPath`. */
export async function endCgroup(path: string): Promise<void> {
  const folders = ["", ...readNames(mountPoint)]
    .map((hierarchy) => join(mountPoint, hierarchy, path))
    .filter((folder) => existsSync(join(folder, "cgroup.procs")));
  for (let tries = 0; tries < endTries && !folders.every(endIn); tries++) await sleep(endPauseMs);
}

/** Whether it is gone; a process that was just killed may still be in it. */
function endIn(folder: string): boolean {
  const pids = (readText(join(folder, "cgroup.procs")) ?? "").split("\n").map(Number);
  // 0 is a process of another pid namespace, and to kill(2) our own group.
  for (const pid of pids.filter((one) => one > 1)) ignoring("ESRCH", () => process.kill(pid, "SIGKILL"));
  return ignoring("ENOENT", () => rmdirSync(folder), "EBUSY");
}

/** False for `later`, which is no failure yet. */
function ignoring(code: string, act: () => void, later = ""): boolean {
  try {
    act();
  } catch (error) {
    if (hasCode(error, later)) return false;
    if (!hasCode(error, code)) throw error;
  }
  return true;
}
