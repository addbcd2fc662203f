import { accessSync, constants, lstatSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import type { Status } from "../../../shared/oci.ts";
import { exists, readLineEnds, readNames, readText } from "../../state/files.ts";
import { readProcess } from "../../state/process.ts";
import { noteUnrepeatable, unnoted } from "../../state/readings.ts";
import { type GuestConfig, parseGuestConfig, parseProperties } from "./guest-config.ts";
import { type Mark, parseMark } from "./mark.ts";

/*
 * What Proxmox has, read from its files and the kernel's. pct takes over half a second to start, so that
 * looking never starts it.
 */

/** A container of Proxmox's; without a mark it is not ours. */
export type Guest = { vmid: number; config: GuestConfig; mark: Mark | undefined };

export const configFolder = "/etc/pve/lxc";

export function configFile(vmid: number): string {
  return `${configFolder}/${vmid}.conf`;
}

/** The guests of this node, by number. */
export function readGuests(folder = configFolder): Guest[] {
  return readNames(folder)
    .flatMap((name) => {
      const vmid = Number(/^(\d+)\.conf$/.exec(name)?.[1]);
      return Number.isNaN(vmid) ? [] : [vmid];
    })
    .sort((a, b) => a - b)
    .flatMap((vmid) => readGuest(vmid, folder) ?? []);
}

export function readGuest(vmid: number, folder = configFolder): Guest | undefined {
  const text = readText(`${folder}/${vmid}.conf`);
  if (text === undefined) return undefined;
  const config = parseGuestConfig(text);
  return { vmid, config, mark: parseMark(config.description) };
}

/** @throws {NexcageError} `CONTAINER_NOT_FOUND` */
export function requireGuest(vmid: number): Guest {
  const guest = readGuest(vmid);
  if (guest !== undefined) return guest;
  throw new NexcageError("CONTAINER_NOT_FOUND", `this node has no container ${vmid}`, {
    hint: `those that it has: ${
      readGuests()
        .map((one) => one.vmid)
        .join(", ") || "none"
    }`,
  });
}

/** The guests of the cluster's other nodes. */
export function readGuestsElsewhere(): (Guest & { node: string })[] {
  const others = readNames("/etc/pve/nodes").filter((node) => node !== nodeName());
  return others.flatMap((node) =>
    readGuests(`/etc/pve/nodes/${node}/lxc`).map((guest) => ({ ...guest, node })),
  );
}

/** The guest that is a container of ours; `aside`: the one that its replacement has put aside. */
export function findGuest(id: ContainerId, { aside = false } = {}): Guest | undefined {
  return readGuests().find(({ mark }) => mark?.id === id && (mark.aside === true) === aside);
}

/** The numbers that are taken in the whole cluster, virtual machines' too. */
export function takenVmids(): Set<number> {
  const list = readText("/etc/pve/.vmlist") ?? "";
  const inCluster = [...list.matchAll(/"(\d+)":\s*\{/g)].map(([, vmid]) => Number(vmid));
  return new Set([...inCluster, ...readGuests().map(({ vmid }) => vmid)]);
}

/** The guests that run: LXC listens on a socket for each. One read for all of them. */
export function runningVmids(): Set<number> {
  const sockets = readLineEnds("/proc/net/unix", "@/var/lib/lxc/");
  return new Set(
    sockets.flatMap((socket) => {
      const vmid = /^@\/var\/lib\/lxc\/(\d+)\/command$/.exec(socket)?.[1];
      return vmid === undefined ? [] : [Number(vmid)];
    }),
  );
}

/** What a guest does, and the pid of its init on the host; 0 where there is none. */
export function statusOf(
  { vmid, config }: Guest,
  { running, hasRun }: { running: ReadonlySet<number>; hasRun: boolean },
): { status: Status; pid: number } {
  if (config.values.get("lock") === "create") return { status: "creating", pid: 0 };
  const pid = running.has(vmid) ? initOf(vmid) : 0;
  if (pid === 0) return { status: hasRun ? "stopped" : "created", pid: 0 };
  return { status: isFrozen(vmid) ? "paused" : "running", pid };
}

/** The init's pid on the host: of the guest's processes the one that is 1 in its own namespace. */
export function initOf(vmid: number): number {
  const pid = unnoted(() => processesOfGuest(vmid).find(isInit));
  if (pid === undefined) {
    noteUnrepeatable(); // one that is about to end
    return 0;
  }
  // It stays the init while it lives there, whatever else comes and goes.
  readProcess(pid);
  readText(`/proc/${pid}/cgroup`);
  return pid;
}

/** The pids on the host of all that runs in a guest. */
export function processesOfGuest(vmid: number): number[] {
  return pidsBelow(`${freezerFolder(vmid)}/ns`);
}

/** `freezer.state` of cgroup v1, `cgroup.freeze` of v2. */
export function freezerOf(vmid: number): { path: string; frozen: string; thawed: string } {
  const folder = freezerFolder(vmid);
  if (exists(`${folder}/freezer.state`))
    return { path: `${folder}/freezer.state`, frozen: "FROZEN", thawed: "THAWED" };
  return { path: `${folder}/cgroup.freeze`, frozen: "1", thawed: "0" };
}

function freezerFolder(vmid: number): string {
  const v1 = `/sys/fs/cgroup/freezer/lxc/${vmid}`;
  return exists(v1) ? v1 : `/sys/fs/cgroup/lxc/${vmid}`;
}

function isFrozen(vmid: number): boolean {
  const { path, thawed } = freezerOf(vmid);
  const state = readText(path)?.trim();
  return state !== undefined && state !== thawed;
}

function pidsBelow(cgroup: string): number[] {
  const own = (readText(`${cgroup}/cgroup.procs`) ?? "").split("\n").filter(Boolean).map(Number);
  const children = readNames(cgroup).filter(
    (name) => !name.includes(".procs") && exists(`${cgroup}/${name}/cgroup.procs`),
  );
  return [...own, ...children.flatMap((name) => pidsBelow(`${cgroup}/${name}`))];
}

function isInit(pid: number): boolean {
  return /^NSpid:(\t\d+)*\t1$/m.test(readText(`/proc/${pid}/status`) ?? "");
}

/** The addresses of the interfaces, which a `set` without them would replace. */
export function macsOf({ config }: Guest): Map<string, string> {
  const macs = new Map<string, string>();
  for (const [key, value] of config.values) {
    if (!/^net\d+$/.test(key)) continue;
    const properties = parseProperties(value);
    const [name, mac] = [properties.get("name"), properties.get("hwaddr")];
    if (name !== undefined && mac !== undefined) macs.set(name, mac);
  }
  return macs;
}

/** Linux bridges of this host, which are what an interface can be on. */
export function bridges(): string[] {
  return readNames("/sys/class/net")
    .filter((name) => exists(`/sys/class/net/${name}/bridge`))
    .sort();
}

/** This node's name in its cluster. */
export function nodeName(): string {
  return /"nodename":\s*"([^"]+)"/.exec(readText("/etc/pve/.members") ?? "")?.[1] ?? hostname();
}

/** Without a quorum `/etc/pve` can be read and not written: its entries lose their write bits, writes get EACCES. */
export function hasQuorum(): boolean {
  try {
    accessSync(configFolder, constants.W_OK);
    return [lstatSync("/etc/pve/local"), statSync(configFolder)].every(({ mode }) => (mode & 0o200) !== 0);
  } catch {
    return false;
  }
}
