// The mount points of a container: made, formatted, mounted on its root.
import { chownSync, existsSync, mkdirSync, statSync } from "node:fs";
import type { Section } from "./conf.ts";
import { Failure } from "./failure.ts";
import * as formats from "./formats.ts";
import { rootfsDir } from "./paths.ts";
import { type Properties, parseProperties, printProperties } from "./properties.ts";
import { run, runAnyway } from "./run.ts";
import { allocateVolume, parseVolid, printSize, requireStorage, volumePath } from "./storage.ts";

export type MountPoint = { key: string; properties: Properties; volume: string; path: string };

/** Of the unprivileged: uid 0 inside is this outside. */
export const idOffset = 100_000;

export function rootId(conf: Section): number {
  return conf.values.get("unprivileged") === "1" ? idOffset : 0;
}

/** `rootfs` first, then the others by number. */
export function mountPoints({ values }: Section): MountPoint[] {
  const number = (key: string) => Number(key.slice(2));
  const keys = [...values.keys()].filter((key) => /^mp\d+$/.test(key)).sort((a, b) => number(a) - number(b));
  return [...(values.has("rootfs") ? ["rootfs"] : []), ...keys].flatMap((key) => {
    const parsed = parseProperties(
      key === "rootfs" ? formats.rootfs : formats.mountPoint,
      values.get(key) ?? "",
      key,
    );
    if ("reason" in parsed) throw new Failure(`${key}: invalid format - ${parsed.reason}`);
    const { properties } = parsed;
    return [{ key, properties, volume: properties.volume ?? "", path: properties.mp ?? "/" }];
  });
}

export function printMountPoint({ key, properties }: Pick<MountPoint, "key" | "properties">): string {
  return printProperties(key === "rootfs" ? formats.rootfs : formats.mountPoint, properties);
}

/** `STORAGE:SIZE`, or a bare size on the default storage: a volume that is to be made. */
export function newVolume(
  volume: string,
  defaultStorage: string,
): { storage: string; mebibytes: number } | undefined {
  const [, storage = defaultStorage, size] =
    /^(?:([a-z][a-z0-9\-_.]*):)?(\d+(?:\.\d+)?)$/i.exec(volume) ?? [];
  return size === undefined ? undefined : { storage, mebibytes: Math.trunc(Number(size) * 1024) };
}

/** Whether pct made the volume itself, and so may remove it: a path of the host is not. */
export function isOwned(volume: string, vmid: string): boolean {
  return new RegExp(`^[^/:]+:(${vmid}/)?(vm|subvol|base)-${vmid}-disk-`).test(volume);
}

/** Storages are looked at before anything is made. @throws {Failure} */
export function requireStorages(points: MountPoint[], defaultStorage: string): void {
  for (const { volume } of points) {
    if (volume.startsWith("/")) continue;
    requireStorage(newVolume(volume, defaultStorage)?.storage ?? parseVolid(volume).storage);
  }
}

export type MakeOptions = { vmid: string; owner: number; defaultStorage: string; made: string[] };

/** The value for the conf after its volume, if it asks for a new one, was made and formatted. */
export async function makeVolume(
  point: MountPoint,
  { vmid, owner, defaultStorage, made }: MakeOptions,
): Promise<MountPoint> {
  const wanted = newVolume(point.volume, defaultStorage);
  if (wanted === undefined) {
    if (!point.volume.startsWith("/")) parseVolid(point.volume);
    return point;
  }
  const volume = await allocateVolume(wanted.storage, { vmid, mebibytes: wanted.mebibytes });
  made.push(volume);
  const path = volumePath(volume);
  if (wanted.mebibytes > 0) await formatImage(path, owner);
  else chownSync(path, owner, owner);
  const properties = { ...point.properties, volume, size: printSize(wanted.mebibytes * 2 ** 20) };
  return { ...point, volume, properties };
}

async function formatImage(path: string, owner: number): Promise<void> {
  const options = `root_owner=${owner}:${owner},lazy_itable_init=1,lazy_journal_init=1`;
  const output = await run("mkfs.ext4", ["-E", options, path], { output: "capture", deaf: true });
  const lines = output.match(/^(Creating filesystem with|Filesystem UUID|Superblock backups|\t).*$/gm) ?? [];
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

/**
 * Mounts everything on /var/lib/lxc/VMID/rootfs.
 * @param options `ignoreReadOnly` to fill it: what is missing is made (pve-container, `PVE::LXC`, `mount_all`)
 * @throws {Failure} `directory '/x' does not exist`
 */
export async function mountVolumes(
  vmid: string,
  conf: Section,
  { ignoreReadOnly = false } = {},
): Promise<void> {
  const root = rootfsDir(vmid);
  const owner = rootId(conf);
  mkdirSync(root, { recursive: true });
  for (const point of mountPoints(conf)) {
    const target = `${root}${point.path === "/" ? "" : point.path}`;
    makeFolders(root, point.path, owner);
    const properties = ignoreReadOnly ? { ...point.properties, ro: "0" } : point.properties;
    await mountOne({ ...point, properties }, target);
  }
}

async function mountOne({ volume, properties }: MountPoint, target: string): Promise<void> {
  const options = [...(properties.ro === "1" ? ["ro"] : []), ...(properties.mountoptions?.split(";") ?? [])];
  if (volume.startsWith("/") || volume.endsWith(".subvol")) {
    const source = volume.startsWith("/") ? volume : volumePath(volume);
    if (!statSync(source, { throwIfNoEntry: false })?.isDirectory())
      throw new Failure(`directory '${source}' does not exist`);
    await run("mount", ["-o", "bind", source, target], { deaf: true });
    if (options.length > 0)
      await run("mount", ["-o", ["bind", "remount", ...options].join(), source, target], { deaf: true });
    return;
  }
  const image = volumePath(volume);
  if (!existsSync(image)) throw new Failure(`volume '${volume}' does not exist`);
  await run("mount", ["-o", ["loop", ...options].join(), image, target], { deaf: true });
}

/** What is missing of a path below the root, owned by the container's root. */
export function makeFolders(root: string, path: string, owner: number): void {
  let folder = root;
  for (const name of path.split("/").filter(Boolean)) {
    folder = `${folder}/${name}`;
    if (existsSync(folder)) continue;
    mkdirSync(folder);
    chownSync(folder, owner, owner);
  }
}

/** Takes it all off again; what is not mounted is fine. */
export async function unmountVolumes(vmid: string): Promise<void> {
  await runAnyway("umount", ["--recursive", rootfsDir(vmid)], { output: "capture", deaf: true });
}
