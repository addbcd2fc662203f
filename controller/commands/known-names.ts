import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as z from "zod";
import { cacheFolder } from "../cache-folder.ts";
import type { OpenFleet } from "../fleet.ts";
import { filesToRead } from "../inventory/load.ts";

/*
 * The names that the hosts of a fleet had when they were last looked at. Completion alone reads them: it must not ask
 * a host, and what has left the files is in no file. A cache: without it there are fewer words, and nothing else.
 */

export type KnownNames = {
  fleet: string;
  /** The fleet's containers on each host. */
  hosts: Map<string, string[]>;
};

const File = z.object({ fleet: z.string(), hosts: z.array(z.tuple([z.string(), z.array(z.string())])) });

const unusedAfterMs = 90 * 24 * 60 * 60 * 1_000;

/** Where the names are kept that belong to these YAML files: two fleets may each have a `pve1`. */
export function namesFile({ file = [] }: { file?: string[] | undefined }): string {
  const paths = [...filesToRead(file)].map((path) => resolve(path)).sort();
  const key = createHash("sha256").update(JSON.stringify(paths)).digest("hex");
  return join(cacheFolder(process.env), "names", `${key}.json`);
}

/** Those of no fleet where there are none, or they cannot be read. */
export async function readKnownNames(path: string): Promise<KnownNames> {
  try {
    const { fleet, hosts } = File.parse(JSON.parse(await readFile(path, "utf8")));
    return { fleet, hosts: new Map(hosts) };
  } catch {
    return { fleet: "", hosts: new Map() };
  }
}

/**
 * Keeps what was seen: of a host that was looked at what it has now, of the others what was known before. Never an
 * error: the work that was asked for is done.
 */
export async function rememberNames(
  path: string,
  { fleet, hosts, opened }: { fleet: string; hosts: readonly { name: string }[]; opened: OpenFleet },
): Promise<void> {
  const seen = new Map(
    [...opened.agents].flatMap(([host, agent]): [string, string[]][] =>
      agent.seen === undefined
        ? []
        : [[host, [...agent.seen].flatMap(([id, owner]) => (owner === fleet ? [id] : []))]],
    ),
  );
  if (seen.size === 0) return;
  const before = await readKnownNames(path);
  const known: z.infer<typeof File> = { fleet, hosts: [] };
  for (const { name } of hosts) {
    const names = seen.get(name) ?? (before.fleet === fleet ? before.hosts.get(name) : undefined);
    if (names !== undefined) known.hosts.push([name, names]);
  }
  await write(path, JSON.stringify(known)).catch(() => {});
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(draft, text, { mode: 0o600 });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await removeUnused(dirname(path));
}

/** Of fleets that nobody looks at any more, and drafts of processes that were killed. */
async function removeUnused(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    if (Date.now() - (await stat(file)).mtimeMs > unusedAfterMs) await rm(file, { force: true });
  }
}
