// Directory storages with raw images, and btrfs' that have snapshots besides: what storage.cfg says, and the volumes on them.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { Failure } from "./failure.ts";
import { readKnobs } from "./knobs.ts";
import { withStorageLock } from "./locks.ts";
import { pve } from "./paths.ts";

export type Storage = {
  type: string;
  name: string;
  path: string;
  content: string[];
  disabled: boolean;
  shared: boolean;
};
export type Volid = { storage: string; content: string; name: string };

/** `/etc/pve/storage.cfg`: sections that need an empty line between them, else the second is not seen. */
export function listStorages(): Storage[] {
  return readFileSync(`${pve}/storage.cfg`, "utf8")
    .split(/\n\s*\n/)
    .flatMap((section): Storage[] => {
      const [head = "", ...lines] = section.split("\n").filter((line) => line.trim() !== "");
      const [, type, name] = /^(\w+):\s*(\S+)\s*$/.exec(head) ?? [];
      if (type === undefined || name === undefined) return [];
      const values = new Map(
        lines.flatMap((line) => {
          const [, key, value = ""] = /^\s+(\S+)\s*(.*)$/.exec(line) ?? [];
          return key === undefined ? [] : [[key, value.trim()]];
        }),
      );
      const content = (values.get("content") ?? "images,rootdir").split(",");
      const flags = { disabled: values.has("disable"), shared: values.get("shared") === "1" };
      return [{ type, name, path: values.get("path") ?? "/var/lib/vz", content, ...flags }];
    });
}

/** @throws {Failure} `storage 'x' does not exist` */
export function requireStorage(name: string): Storage {
  const storage = listStorages().find((candidate) => candidate.name === name);
  if (storage === undefined) throw new Failure(`storage '${name}' does not exist`);
  return storage;
}

const contentDirs: Readonly<Record<string, string>> = {
  vztmpl: "template/cache",
  iso: "template/iso",
  backup: "dump",
  snippets: "snippets",
};

/** @throws {Failure} `unable to parse volume ID 'x'` */
export function parseVolid(volid: string): Volid {
  const [, storage, rest = ""] = /^([a-z][a-z0-9\-_.]*):(.+)$/i.exec(volid) ?? [];
  if (storage === undefined) throw new Failure(`unable to parse volume ID '${volid}'`);
  const [, kind, name] = /^(vztmpl|iso|backup|snippets)\/(.+)$/.exec(rest) ?? [];
  if (kind !== undefined && name !== undefined) return { storage, content: kind, name };
  return { storage, content: "rootdir", name: rest };
}

/** The file or folder of a volume, whether it is there or not. */
export function volumePath(volid: string): string {
  const { storage, content, name } = parseVolid(volid);
  const { path } = requireStorage(storage);
  return `${path}/${contentDirs[content] ?? "images"}/${name}`;
}

/** Makes `vm-VMID-disk-N.raw` of so many MiB, or a plain folder for 0; N is the lowest free. */
export async function allocateVolume(
  storageName: string,
  { vmid, mebibytes }: { vmid: string; mebibytes: number },
): Promise<string> {
  const storage = requireStorage(storageName);
  if (!storage.content.includes("rootdir"))
    throw new Failure(`storage '${storageName}' does not support container directories`);
  return await withStorageLock(storageName, async () => {
    const dir = `${storage.path}/images/${vmid}`;
    const name = freeName(dir, vmid, mebibytes > 0 ? "raw" : "subvol");
    if (readKnobs().fullStorages?.includes(storageName))
      throw new Failure(
        `unable to create image: qemu-img: ${dir}/${name}: error while writing: No space left on device`,
      );
    mkdirSync(dir, { recursive: true });
    if (mebibytes === 0) mkdirSync(`${dir}/${name}`);
    else makeImage(`${dir}/${name}`, mebibytes * 2 ** 20);
    return `${storageName}:${vmid}/${name}`;
  });
}

/** `pvesm alloc`: SIZE in KiB, or with a unit. */
export async function allocateNamed(
  storageName: string,
  { vmid, name, size }: { vmid: string; name: string; size: string },
): Promise<string> {
  const { path } = requireStorage(storageName);
  const bytes = /[KMGT]$/.test(size) ? parseSize(size) : Number(size) * 1024;
  return await withStorageLock(storageName, async () => {
    const file = name === "" ? freeName(`${path}/images/${vmid}`, vmid, "raw") : name;
    mkdirSync(`${path}/images/${vmid}`, { recursive: true });
    makeImage(`${path}/images/${vmid}/${file}`, bytes);
    return `${storageName}:${vmid}/${file}`;
  });
}

export function makeImage(path: string, bytes: number): void {
  process.stdout.write(`Formatting '${path}', fmt=raw size=${bytes} preallocation=off\n`);
  writeFileSync(path, "", { mode: 0o640 });
  truncateSync(path, bytes);
}

function freeName(dir: string, vmid: string, format: "raw" | "subvol"): string {
  const taken = existsSync(dir) ? readdirSync(dir).map((name) => /-disk-(\d+)\./.exec(name)?.[1]) : [];
  let number = 0;
  while (taken.includes(String(number))) number++;
  return format === "raw" ? `vm-${vmid}-disk-${number}.raw` : `subvol-${vmid}-disk-${number}.subvol`;
}

/** Gives a volume to another guest: under the lowest free number there. Its name. */
export function renameVolume(volid: string, vmid: string): string {
  const path = volumePath(volid);
  const { storage } = parseVolid(volid);
  const dir = `${dirname(dirname(path))}/${vmid}`;
  const name = freeName(dir, vmid, path.endsWith(".subvol") ? "subvol" : "raw");
  mkdirSync(dir, { recursive: true });
  renameSync(path, `${dir}/${name}`);
  if (readDir(dirname(path)).length === 0) rmdirSync(dirname(path));
  return `${storage}:${vmid}/${name}`;
}

/** Removes a volume; one that is not there is a line, not an error. */
export async function freeVolume(volid: string): Promise<void> {
  const path = volumePath(volid);
  await withStorageLock(parseVolid(volid).storage, async () => {
    if (existsSync(path)) {
      rmSync(path, { recursive: true });
      for (const file of snapshotsOf(path)) rmSync(file, { recursive: true });
      if (readDir(dirname(path)).length === 0) rmdirSync(dirname(path));
    } else process.stderr.write(`disk image '${path}' does not exist\n`);
  });
}

/** Raw images of a directory have no snapshots. */
export function canSnapshot({ type }: Storage): boolean {
  return type === "btrfs";
}

/** A btrfs subvolume's snapshot lies beside it; here it is a copy. */
function snapshotPath(volid: string, name: string): string {
  return `${volumePath(volid)}@${name}`;
}

function snapshotsOf(path: string): string[] {
  return readDir(dirname(path))
    .filter((name) => name.startsWith(`${basename(path)}@`))
    .map((name) => `${dirname(path)}/${name}`);
}

export function snapshotVolume(volid: string, name: string): void {
  copyVolume(volumePath(volid), snapshotPath(volid, name));
}

export function rollBackVolume(volid: string, name: string): void {
  copyVolume(snapshotPath(volid, name), volumePath(volid));
}

export function removeVolumeSnapshot(volid: string, name: string): void {
  rmSync(snapshotPath(volid, name), { recursive: true, force: true });
}

function copyVolume(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  const { status, stderr } = spawnSync("cp", ["-a", "--sparse=always", from, to], { encoding: "utf8" });
  if (status !== 0) throw new Failure(stderr.trim());
}

export type Volume = {
  volid: string;
  format: string;
  content: string;
  size: number;
  used: number;
  vmid: string;
};

export function listVolumes({ name, path }: Storage): Volume[] {
  const images = readDir(`${path}/images`).flatMap((vmid) =>
    readDir(`${path}/images/${vmid}`)
      .filter((file) => /\.(raw|subvol)$/.test(file))
      .map((file) =>
        describe(`${path}/images/${vmid}/${file}`, `${name}:${vmid}/${file}`, { vmid, content: "rootdir" }),
      ),
  );
  const others = Object.entries(contentDirs).flatMap(([content, dir]) =>
    readDir(`${path}/${dir}`)
      .filter((file) => !file.includes(".tmp_dwnl."))
      .map((file) => describe(`${path}/${dir}/${file}`, `${name}:${content}/${file}`, { vmid: "", content })),
  );
  return [...images, ...others];
}

function describe(path: string, volid: string, { vmid, content }: { vmid: string; content: string }): Volume {
  const { size, blocks } = statSync(path);
  return { volid, format: formatOf(path), content, size, used: blocks * 512, vmid };
}

function formatOf(path: string): string {
  const [, packed] = /\.tar\.(zst|gz|xz)$/.exec(path) ?? [];
  if (packed !== undefined) return packed === "gz" ? "tgz" : packed === "xz" ? "txz" : "tzst";
  return basename(path).split(".").at(-1) ?? "raw";
}

/** Bytes of the file system that a storage lies on. */
export function storageRoom({ path }: Storage): { total: number; used: number; avail: number } {
  const { stdout } = spawnSync("df", ["--block-size=1", "--output=size,used,avail", path], {
    encoding: "utf8",
  });
  const [total = 0, used = 0, avail = 0] = (stdout.split("\n")[1] ?? "").trim().split(/\s+/).map(Number);
  return { total, used, avail };
}

function readDir(path: string): string[] {
  return existsSync(path) ? readdirSync(path).sort() : [];
}

const units = ["", "K", "M", "G", "T"];

/** `512M` → bytes. */
export function parseSize(text: string): number {
  const [, number = "0", unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text) ?? [];
  return Math.trunc(Number(number) * 1024 ** units.indexOf(unit));
}

/** Bytes in the biggest unit that divides them: `4G`, `1537M`. */
export function printSize(bytes: number): string {
  if (bytes === 0) return "0T";
  let unit = 0;
  while (unit < 4 && bytes % 1024 ** (unit + 1) === 0) unit++;
  return `${bytes / 1024 ** unit}${units[unit]}`;
}
