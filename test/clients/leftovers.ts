// What containers leave on a host: processes, mounts, cgroups, and files of their runtimes.
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { walkCgroup } from "../hosts/cgroups.ts";
import type { TestHost } from "../hosts/hosts.ts";
import { waitFor } from "../hosts/wait.ts";

/** One line a thing. Looks from outside, so that it does not see itself. */
export async function look(host: TestHost): Promise<string[]> {
  const pids = await host.pids();
  const commands = (await Promise.all(pids.map(commandOf))).filter((command) => command !== "");
  const [anyPid] = await findListener(pids);
  const [mounts, files] = anyPid === undefined ? ["", []] : await filesOf(anyPid, host);
  const cgroups = await Promise.all(
    host.cgroupPaths().map(async (path) => (await walkCgroup(path)).map((cgroup) => relative(path, cgroup))),
  );
  return [
    ...commands.sort().map((command) => `process ${command}`),
    ...mounts
      .split("\n")
      .flatMap((line) => line.split(" ")[4] ?? [])
      .filter((path) => !path.endsWith("/containers/storage/overlay")) // podman's own, now and then
      .sort()
      .map((path) => `mount ${path}`),
    ...files.sort(),
    ...[...new Set(cgroups.flat())]
      .filter((path) => path !== "")
      .sort()
      .map((path) => `cgroup ${path}`),
  ];
}

/**
 * What is there now and was not `before`; waits a while for it to go, because clients clean up behind
 * their users' backs.
 */
export async function leftovers(host: TestHost, before: string[]): Promise<string[]> {
  let left: string[] = [];
  const gone = async () => {
    left = beyond(await look(host), before);
    return left.length === 0 || undefined;
  };
  await waitFor(gone, { what: "the end of all that a case has made", timeoutMs: 5_000 }).catch(() => {});
  return left;
}

/** The lines that `before` does not have, or not so often. */
export function beyond(now: string[], before: string[]): string[] {
  const rest = new Map<string, number>();
  for (const line of before) rest.set(line, (rest.get(line) ?? 0) + 1);
  return now.filter((line) => {
    const count = rest.get(line) ?? 0;
    rest.set(line, count - 1);
    return count <= 0;
  });
}

/** Empty for what has ended, or is a zombie. */
async function commandOf(pid: number): Promise<string> {
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return command.replaceAll("\0", " ").trim().replaceAll("\n", " ");
}

/** sshd, which is on the host as long as that is on, and has its mounts. */
async function findListener(pids: number[]): Promise<number[]> {
  const commands = await Promise.all(pids.map(commandOf));
  return pids.filter((_, index) => commands[index]?.includes("sshd -D"));
}

/** The mounts of a process, and what is below /run and in the temporary folder. */
async function filesOf(pid: number, host: TestHost): Promise<[mounts: string, files: string[]]> {
  const mounts = await readFile(`/proc/${pid}/mountinfo`, "utf8");
  const run = await walk(`/proc/${pid}/root/run`, "/run");
  const temporary = await walk(join(host.dir, "tmp"), "TMP");
  return [mounts, [...run, ...temporary]];
}

/** Clients' own folders are their own business, and so is what runtimes keep for all containers. */
const notLookedInto = [
  "/run/containers",
  "/run/libpod",
  "/run/containerd",
  "/run/crun/.cache",
  "/run/nexcage/.crun/.cache",
];
const notNamed = ["/run/crun", "/run/nexcage", "/run/nexcage/.crun"];
/** Where runtimes keep their containers; which files there, is theirs to know. */
const roots = ["/run/crun", "/run/nexcage/.crun"];

async function walk(folder: string, name: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const nested = entries.map(async (entry) => {
    const path = `${name}/${entry.name}`;
    if (notLookedInto.includes(path)) return [];
    if (roots.includes(name) && !notNamed.includes(path)) return [`state ${entry.name}`];
    const below = entry.isDirectory() ? await walk(join(folder, entry.name), path) : [];
    return notNamed.includes(path) ? below : [`file ${path}`, ...below];
  });
  return (await Promise.all(nested)).flat();
}
