import { createHash } from "node:crypto";
import { lstat, readdir, readlink } from "node:fs/promises";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import type { TarType } from "../../shared/tar.ts";

/** A file, folder or link as it was seen; its names are `latin1`, as in `shared/tar.ts`. */
export type FolderEntry = {
  type: Extract<TarType, "file" | "directory" | "symlink" | "fifo">;
  path: string;
  linkPath: string;
  bytes: number;
  mode: number;
  /** Names the inode, where it has more than this name. */
  hardLinkKey: string | undefined;
  /** Changes with whatever is done to it. */
  stamp: string;
  changedNs: bigint;
};

/**
 * What is below a folder, without itself, a parent before its children, names sorted by their bytes.
 * Links are not followed. Sockets are left out, and devices in `dev`, where a container has its own.
 * @throws {NexcageError} `INVALID_FILE` naming what cannot be read, or be in an image
 */
export async function walkFolder(root: string, { signal }: { signal: AbortSignal }): Promise<FolderEntry[]> {
  const entries: FolderEntry[] = [];
  const visit = async (folder: string): Promise<void> => {
    signal.throwIfAborted();
    const names = await unlessUnreadable(readdir(onDisk(root, folder), { encoding: "latin1" }), root, folder);
    names.sort((a, b) => (a < b ? -1 : 1)); // not localeCompare: a digest must not depend on LANG
    const found = await Promise.all(
      names.map((name) => look(root, folder === "" ? name : `${folder}/${name}`)),
    );
    for (const entry of found) {
      if (entry === undefined) continue;
      entries.push(entry);
      if (entry.type === "directory") await visit(entry.path);
    }
  };
  await visit("");
  return entries;
}

/**
 * A key that stays while nothing in the folder changes; the bytes of its files; when it changed last. Pure.
 */
export function fingerprintOf(entries: FolderEntry[]): { key: string; bytes: number; changedNs: bigint } {
  const hash = createHash("sha256");
  let bytes = 0;
  let changedNs = 0n;
  for (const entry of entries) {
    hash.update(JSON.stringify([entry.path, entry.linkPath, entry.stamp]));
    bytes += entry.bytes;
    if (entry.changedNs > changedNs) changedNs = entry.changedNs;
  }
  return { key: `folder ${hash.digest("hex")}`, bytes, changedNs };
}

/** The bytes of a path, for the file system. */
export function onDisk(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
}

/** A path of a folder as it may stand in a message. */
export function shownPath(root: string, path: string): string {
  return onDisk(root, path).toString();
}

async function look(root: string, path: string): Promise<FolderEntry | undefined> {
  const place = onDisk(root, path);
  const stats = await unlessUnreadable(lstat(place, { bigint: true }), root, path);
  const common = {
    path,
    linkPath: "",
    bytes: 0,
    mode: Number(stats.mode & 0o7777n),
    hardLinkKey: undefined,
    stamp: [stats.dev, stats.ino, stats.mode, stats.nlink, stats.size, stats.mtimeNs, stats.ctimeNs].join(
      " ",
    ),
    changedNs: stats.ctimeNs,
  };
  if (stats.isDirectory()) return { ...common, type: "directory" };
  if (stats.isSymbolicLink())
    return {
      ...common,
      type: "symlink",
      linkPath: await unlessUnreadable(readlink(place, "latin1"), root, path),
    };
  if (stats.isFile())
    return {
      ...common,
      type: "file",
      bytes: Number(stats.size),
      hardLinkKey: stats.nlink > 1n ? `${stats.dev} ${stats.ino}` : undefined,
    };
  if (stats.isFIFO()) return { ...common, type: "fifo" };
  if (stats.isSocket() || path.startsWith("dev/")) return undefined;
  throw new NexcageError("INVALID_FILE", `${shownPath(root, path)} is a device, which an image cannot have`);
}

async function unlessUnreadable<T>(reading: Promise<T>, root: string, path: string): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (hasCode(error, "EACCES"))
      throw new NexcageError("INVALID_FILE", `${shownPath(root, path)} cannot be read`, { cause: error });
    if (hasCode(error, "ENOENT", "ENOTDIR"))
      throw new NexcageError("INVALID_FILE", `${shownPath(root, path)} vanished while it was read`, {
        hint: "try again when nothing changes there",
        cause: error,
      });
    throw error;
  }
}
