// What pmxcfs does for the guests' files: versions, the list of all guests, the cluster's log, quorum.
import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { type Conf, emptyConf, parseConf, printConf } from "./conf.ts";
import { codeOf, Failure } from "./failure.ts";
import { withFileLock } from "./locks.ts";
import { confFile, confName, databaseFile, node, nodeDir, pve } from "./paths.ts";

type Guest = { node: string; type: "lxc" | "qemu"; version: number; mtimeMs: number; size: number };
type Database = { version: number; guests: Record<string, Guest> };

const kinds = { lxc: "lxc", "qemu-server": "qemu" } as const;

/** All guests of all nodes: any `NNN.conf` counts, even an empty one. */
export function listGuests(): Map<string, { node: string; type: "lxc" | "qemu" }> {
  return new Map(Object.entries(scan({})));
}

/** Writes `.vmlist` and `.version` anew where guests' files have changed, by whomever. */
export async function syncCluster(): Promise<void> {
  if (!hasQuorum() || !hasChanged(readDatabase())) return;
  await withFileLock(`${databaseFile}.lock`, { timeoutS: 10 }, async () => {
    const database = readDatabase();
    if (!hasChanged(database)) return;
    const version = database.version + 1;
    const guests = scan(database.guests, version);
    replaceFile(databaseFile, JSON.stringify({ version, guests }), 0o600);
    replaceFile(`${pve}/.vmlist`, printGuests(version, guests));
    replaceFile(`${pve}/.version`, printVersion(version));
  });
}

function hasChanged({ guests }: Database): boolean {
  return JSON.stringify(scan(guests)) !== JSON.stringify(guests);
}

function scan(before: Record<string, Guest>, newVersion = -1): Record<string, Guest> {
  const found: Record<string, Guest> = {};
  for (const owner of readDir(`${pve}/nodes`))
    for (const [dir, type] of Object.entries(kinds))
      for (const name of readDir(`${pve}/nodes/${owner}/${dir}`)) {
        const [, vmid] = /^(\d+)\.conf$/.exec(name) ?? [];
        if (vmid === undefined) continue;
        const { mtimeMs, size } =
          statSync(`${pve}/nodes/${owner}/${dir}/${name}`, { throwIfNoEntry: false }) ?? {};
        if (mtimeMs === undefined || size === undefined) continue;
        const old = before[vmid];
        const same = old?.mtimeMs === mtimeMs && old.size === size && old.node === owner && old.type === type;
        found[vmid] = { node: owner, type, version: same ? old.version : newVersion, mtimeMs, size };
      }
  return found;
}

function printGuests(version: number, guests: Record<string, Guest>): string {
  const lines = Object.entries(guests).map(
    ([vmid, guest]) =>
      `"${vmid}": { "node": "${guest.node}", "type": "${guest.type}", "version": ${guest.version} }`,
  );
  return `{\n"version": ${version},\n"ids": {\n${lines.join(",\n")}}\n\n}\n`;
}

function printVersion(version: number): string {
  return `${JSON.stringify({
    starttime: Math.floor(statSync(`${pve}/storage.cfg`).birthtimeMs / 1000),
    clinfo: 0,
    vmlist: version,
    "storage.cfg": 1,
    "user.cfg": 1,
    kvstore: { [node]: { tasklist: version } },
  })}\n`;
}

function readDatabase(): Database {
  try {
    const database: Database = JSON.parse(readFileSync(databaseFile, "utf8"));
    return database;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return { version: 0, guests: {} };
    throw error;
  }
}

function readDir(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

/** Without quorum whatever is written below /etc/pve gets EACCES. */
export function hasQuorum(): boolean {
  try {
    accessSync(nodeDir, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** @throws {Failure} `cluster not ready - no quorum?` */
export function requireQuorum(): void {
  if (!hasQuorum()) throw new Failure("cluster not ready - no quorum?");
}

/**
 * A container's conf, its warnings printed.
 * @throws {Failure} `Configuration file '…' does not exist`
 */
export function readConf(vmid: string): Conf {
  const conf = findConf(vmid);
  if (conf === undefined)
    throw new Failure(`Configuration file '${confName(vmid)}' does not exist`, { exitCode: 2 });
  return conf;
}

export function findConf(vmid: string): Conf | undefined {
  try {
    const { conf, warnings } = parseConf(readFileSync(confFile(vmid), "utf8"), { vmid });
    for (const line of warnings) process.stderr.write(`${line}\n`);
    return conf;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** @throws {Failure} `unable to open file …` without quorum */
export async function writeConf(vmid: string, conf: Conf): Promise<void> {
  const draft = `${confFile(vmid)}.tmp.${process.pid}`;
  try {
    replaceFile(confFile(vmid), printConf(conf), 0o640, draft);
  } catch (error) {
    if (codeOf(error) === "EACCES") throw new Failure(`unable to open file '${draft}' - Permission denied`);
    throw error;
  }
  await syncCluster();
}

/** Just `lock: create`: what stands there while a container is being made. */
export async function claimConf(vmid: string): Promise<void> {
  const conf = emptyConf();
  conf.values.set("lock", "create");
  await writeConf(vmid, conf);
}

export async function removeConf(vmid: string): Promise<void> {
  rmSync(confFile(vmid), { force: true });
  await syncCluster();
}

export function replaceFile(
  path: string,
  text: string,
  mode = 0o640,
  draft = `${path}.tmp.${process.pid}`,
): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(draft, text, { mode });
  renameSync(draft, path);
}

/** `CT 100 already exists on node 'pve1'`. @throws {Failure} */
export function requireFree(vmid: string): void {
  const guest = listGuests().get(vmid);
  if (guest === undefined) return;
  const what = guest.type === "lxc" ? "CT" : "VM";
  throw new Failure(`${what} ${vmid} already exists on node '${guest.node}'`, { exitCode: 2 });
}

/** @throws {Failure} `CT is locked (backup)` */
export function requireUnlocked(conf: Conf, { except = [] }: { except?: string[] } = {}): void {
  const lock = conf.values.get("lock");
  if (lock !== undefined && !except.includes(lock)) throw new Failure(`CT is locked (${lock})`);
}
