import type { TarEntry } from "../../shared/tar.ts";
import { invalid, showPath } from "./tar-reader.ts";

export type UnpackLimits = {
  /** Of all files together. */
  bytes: number;
  entries: number;
};

/** What the container mounts over: it must be a folder of the image itself (CVE-2026-47766 for `/dev`). */
export const mountPoints = ["dev", "proc", "sys"] as const;

/** What an unpacked file may keep; others mean something to the host's overlayfs or security modules. */
const keptXattr = /^(?:user\..+|security\.capability)$/;

/**
 * Looks at each entry before it is unpacked: none may leave the root, by its name or through a link of
 * the same archive, and none may be what an image has no business with. One guard sees one archive.
 */
export class EntryGuard {
  readonly #limits: UnpackLimits;
  readonly #types = new Map<string, TarEntry["type"]>();
  #bytes = 0;
  #entries = 0;

  constructor(limits: UnpackLimits) {
    this.#limits = limits;
  }

  /**
   * The entry as it may be unpacked, with a plain relative path; undefined when it is left out: a
   * device in `/dev`, over which every container has its own.
   * @throws {NexcageError} `IMAGE_INVALID` naming the entry
   */
  admit(entry: TarEntry): TarEntry | undefined {
    this.#entries += 1;
    if (this.#entries > this.#limits.entries)
      throw invalid(`it has more than ${this.#limits.entries} entries`);
    this.#bytes += entry.bytes;
    if (this.#bytes > this.#limits.bytes)
      throw invalid(`with ${showPath(entry.path)} it is larger than ${this.#limits.bytes} bytes`);

    const shown = showPath(entry.path);
    const path = insideRoot(entry.path, shown);
    if (path === "") {
      if (entry.type !== "directory") throw invalid(`${shown} is not a folder`);
      return { ...entry, path: ".", xattrs: {} };
    }
    this.#requireFolders(path, shown);
    if (entry.type === "character" || entry.type === "block") {
      if (path.startsWith("dev/")) return undefined;
      throw invalid(`${shown} is a device`);
    }
    const isMountPoint = mountPoints.some((name) => name === path);
    if (isMountPoint && entry.type !== "directory")
      throw invalid(`${shown} is not a folder, and each container mounts its own there`);

    const admitted = { ...entry, path, xattrs: keptXattrs(entry) };
    if (entry.type !== "link") this.#note(path, entry.type, shown);
    else {
      admitted.linkPath = insideRoot(entry.linkPath, `the hard link ${shown}`);
      this.#requireFolders(admitted.linkPath, `the hard link ${shown}`);
      const target = this.#types.get(admitted.linkPath);
      if (target === undefined || target === "directory")
        throw invalid(
          `the hard link ${shown} is to ${showPath(entry.linkPath)}, which is no file of the image`,
        );
      this.#note(path, target, shown);
    }
    return admitted;
  }

  /** True once a file, folder or link was admitted. */
  get hasEntries(): boolean {
    return this.#types.size > 0;
  }

  /** Each folder above must not be a link: unpacking would follow it. */
  #requireFolders(path: string, shown: string): void {
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const type = this.#types.get(path.slice(0, slash));
      if (type === "symlink")
        throw invalid(`${shown} goes through the link ${showPath(path.slice(0, slash))}`);
      if (type === undefined) this.#types.set(path.slice(0, slash), "directory");
      else if (type !== "directory")
        throw invalid(`${shown} is below ${showPath(path.slice(0, slash))}, a file`);
    }
  }

  /** A later entry may replace an earlier one, but not what others may have gone into. */
  #note(path: string, type: TarEntry["type"], shown: string): void {
    const before = this.#types.get(path);
    if (before !== undefined && (before === "directory") !== (type === "directory"))
      throw invalid(`${shown} is in it twice, as a folder and as something else`);
    this.#types.set(path, type);
  }
}

/** The path without empty parts and `.`. */
function insideRoot(path: string, shown: string): string {
  if (path.startsWith("/")) throw invalid(`${shown} leaves its root: its name is absolute`);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw invalid(`${shown} leaves its root: ".." is in its name`);
  return parts.join("/");
}

function keptXattrs({ xattrs }: TarEntry): TarEntry["xattrs"] {
  return Object.fromEntries(Object.entries(xattrs).filter(([name]) => keptXattr.test(name)));
}
