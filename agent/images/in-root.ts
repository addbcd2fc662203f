import { constants } from "node:fs";
import { lstat, open, readlink } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../../shared/errors.ts";

const maxLinks = 40; // the kernel's own limit, path_resolution(7)

/**
 * Where a path is for who has `root` as their root, links followed as after chroot(2): none leads out.
 * Undefined when it is not there. Only for files that nobody changes meanwhile.
 */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const pending = path.split("/").reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop();
    if (part === undefined || part === "" || part === ".") continue;
    if (part === "..") {
      resolved.pop(); // above the root is the root
      continue;
    }
    const target = await linkTarget(join(root, ...resolved, part));
    if (target === undefined) return undefined;
    if (target === false) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > maxLinks) return undefined;
    if (target.startsWith("/")) resolved.length = 0;
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...resolved);
}

/**
 * The text of a small file of an image; undefined when it is not there, no regular file, or larger than
 * `maxBytes`.
 */
export async function readInRoot(
  root: string,
  path: string,
  { maxBytes }: { maxBytes: number },
): Promise<string | undefined> {
  const resolved = await resolveInRoot(root, path);
  if (resolved === undefined) return undefined;
  // Not blocking, as it may be a pipe.
  await using file = await open(resolved, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const stats = await file.stat();
  return stats.isFile() && stats.size <= maxBytes ? await file.readFile("utf8") : undefined;
}

/** Where a link points, false for what is none, undefined for what is not there. */
async function linkTarget(path: string): Promise<string | false | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() && (await readlink(path));
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    return undefined;
  }
}
