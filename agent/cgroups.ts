import { readFile } from "node:fs/promises";
import type { Features } from "../shared/container.ts";

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
