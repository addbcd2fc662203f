import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseHierarchies } from "./cgroups.ts";

const packages = {
  "openssh-server": "/usr/sbin/sshd",
  "openssh-client": "/usr/bin/ssh-keygen",
  catatonit: "/usr/bin/catatonit",
  iproute2: "/usr/bin/ip",
  "util-linux": "/usr/bin/unshare",
};

/** Why this machine cannot have test hosts; undefined where it can. Tries the namespaces, in 50 ms. */
export function whyNoHosts(): string | undefined {
  if (process.platform !== "linux") return "test hosts need Linux";
  if (process.getuid?.() !== 0) return "test hosts need root";
  const missing = Object.entries(packages).filter(([, program]) => !existsSync(program));
  if (missing.length > 0) return `not installed: ${missing.map(([name]) => name).join(" ")}`;
  if (parseHierarchies(readFileSync("/proc/self/mountinfo", "utf8")).length === 0)
    return "test hosts need cgroups, and none are mounted here";
  const probe = spawnSync(
    "unshare",
    [
      ...["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child"],
      ...["sh", join(import.meta.dirname, "probe.sh")],
    ],
    { encoding: "utf8", timeout: 10_000 },
  );
  if (probe.status === 0) return undefined;
  return `this machine lets root make no test hosts: ${probe.error?.message ?? probe.stderr.trim()}`;
}
