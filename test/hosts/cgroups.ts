import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hasCode } from "../../shared/errors.ts";
import { killProcess } from "./processes.ts";
import { waitFor } from "./wait.ts";

/** One of the machine's cgroup hierarchies: each of v1, or the one of v2. */
export type Hierarchy = {
  type: "cgroup" | "cgroup2";
  /** What mounts it again: `memory`, `none,name=systemd`, or `defaults` for v2. */
  options: string;
  mountPoint: string;
};

/**
 * The hierarchies that the text of a mountinfo shows. Beside v1 ones, v2 is left out: the controllers that
 * matter are then bound to v1, and libcrun (1.8 to 1.27) refuses to work where it sees both.
 */
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const all = mountinfo.split("\n").flatMap((line): Hierarchy[] => {
    const [mount = "", source = ""] = line.split(" - ");
    const [type, , superOptions = ""] = source.split(" ");
    const mountPoint = mount.split(" ")[4];
    if (mountPoint === undefined) return [];
    if (type === "cgroup2") return [{ type, options: "defaults", mountPoint }];
    if (type !== "cgroup") return [];
    const words = superOptions.split(",").filter((word) => !/^(rw|ro|xattr|release_agent=.*)$/.test(word));
    const options = words.some((word) => word.startsWith("name=")) ? ["none", ...words] : words;
    return [{ type, options: options.join(","), mountPoint }];
  });
  const v1 = all.filter(({ type }) => type === "cgroup");
  return v1.length > 0 ? v1 : all.slice(0, 1);
}

export async function findHierarchies(): Promise<Hierarchy[]> {
  return parseHierarchies(await readFile("/proc/self/mountinfo", "utf8"));
}

/** Makes a cgroup below one that is there, with all that its parent may control. */
export async function makeCgroup(path: string): Promise<void> {
  const parent = dirname(path);
  for (const controller of (await readIfThere(join(parent, "cgroup.controllers")))
    ?.split(/\s+/)
    .filter(Boolean) ?? [])
    await writeFile(join(parent, "cgroup.subtree_control"), `+${controller}`);
  await mkdir(path);
  // A new cpuset of v1 is empty, and refuses processes until it has processors and memory.
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const inherited = await readIfThere(join(parent, file));
    if (inherited?.trim()) await writeFile(join(path, file), inherited);
  }
}

/** A cgroup and all below it, children before their parents; empty when it is not there. */
export async function walkCgroup(path: string): Promise<string[]> {
  const entries = await readIfThere(path, () => readdir(path, { withFileTypes: true }));
  if (entries === undefined) return [];
  const children = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
  return [...(await Promise.all(children.map(walkCgroup))).flat(), path];
}

/** The pids, as we see them, of all in a cgroup and below. */
export async function processesOf(path: string): Promise<number[]> {
  const lists = await Promise.all(
    (await walkCgroup(path)).map((cgroup) => readIfThere(join(cgroup, "cgroup.procs"))),
  );
  return lists.flatMap((list) => (list ?? "").split("\n").filter(Boolean).map(Number));
}

/** Ends all that runs in these cgroups and below, frozen processes too. */
export async function killCgroups(paths: string[]): Promise<void> {
  await waitFor(
    async () => {
      for (const cgroup of (await Promise.all(paths.map(walkCgroup))).flat()) await thaw(cgroup);
      const pids = [...new Set((await Promise.all(paths.map(processesOf))).flat())];
      if (pids.length === 0) return true;
      pids.forEach(killProcess);
      return undefined;
    },
    { what: `ending all processes of ${paths[0]}`, timeoutMs: 30_000 }, // a busy machine takes its time
  );
}

/** Removes empty cgroups, children first. */
export async function removeCgroups(paths: string[]): Promise<void> {
  for (const cgroup of (await Promise.all(paths.map(walkCgroup))).flat()) await removeCgroup(cgroup);
}

async function removeCgroup(path: string): Promise<void> {
  // EBUSY: for a moment after its last process has ended.
  await waitFor(
    () =>
      rmdir(path).then(
        () => true,
        (error) => ignoreCode(error, "EBUSY"),
      ),
    {
      what: `removing ${path}`,
      timeoutMs: 5_000,
    },
  );
}

function ignoreCode(error: unknown, code: string): true | undefined {
  if (hasCode(error, code)) return undefined;
  if (hasCode(error, "ENOENT")) return true;
  throw error;
}

async function thaw(cgroup: string): Promise<void> {
  const state = await readIfThere(join(cgroup, "freezer.state"));
  if (state !== undefined && state !== "THAWED\n")
    await writeFile(join(cgroup, "freezer.state"), "THAWED").catch((error) => ignoreCode(error, "ENOENT"));
}

async function readIfThere(path: string): Promise<string | undefined>;
async function readIfThere<T>(path: string, read: () => Promise<T>): Promise<T | undefined>;
async function readIfThere(path: string, read: () => Promise<unknown> = () => readFile(path, "utf8")) {
  try {
    return await read();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENODEV")) return undefined;
    throw error;
  }
}
