import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readlink, rm } from "node:fs/promises";
import { join } from "node:path";
import { readNames } from "../../state/files.ts";
import type { LockFile } from "../../state/lock.ts";
import { templateArchive } from "./template-archive.ts";

type Options = { folder: string; lockFolder: string; lockFile: LockFile; signal: AbortSignal };

/**
 * A bundle's root file system as the archive that pct makes containers from: built once, as long as nothing
 * changes in it. What was built of it before that goes.
 * @throws {NexcageError} `DISK_FULL`, `RUNTIME_FAILED`
 */
export async function bundleArchive(
  { bundle, root }: { bundle: string; root: string },
  { folder, ...options }: Options,
): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const name = `${prefixOf(bundle)}${await fingerprintOf(root, options)}.tar.zst`;
  const archive = await templateArchive({ rootfs: root, archive: join(folder, name) }, options);
  for (const other of readNames(folder))
    if (other.startsWith(prefixOf(bundle)) && !other.startsWith(name))
      await rm(join(folder, other), { force: true });
  return archive;
}

/** Removes what was built of all bundles but these. */
export async function removeBundleArchives(
  folder: string,
  { kept }: { kept: readonly string[] },
): Promise<void> {
  const prefixes = kept.map(prefixOf);
  for (const name of readNames(folder))
    if (name.endsWith(".tar.zst") && !prefixes.some((prefix) => name.startsWith(prefix)))
      await rm(join(folder, name), { force: true });
}

function prefixOf(bundle: string): string {
  return `${createHash("sha256").update(bundle).digest("hex").slice(0, 16)}-`;
}

/** Stays while nothing is changed in a folder: of names, and of what lstat(2) tells but the times of reading. */
async function fingerprintOf(root: string, { signal }: { signal: AbortSignal }): Promise<string> {
  const hash = createHash("sha256");
  const visit = async (folder: Buffer): Promise<void> => {
    signal.throwIfAborted();
    const names = (await readdir(folder, { encoding: "buffer" })).sort(Buffer.compare);
    const paths = names.map((name) => Buffer.concat([folder, Buffer.from("/"), name]));
    const found = await Promise.all(paths.map((path) => lstat(path, { bigint: true })));
    for (const [index, stats] of found.entries()) {
      const { dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs, rdev } = stats;
      const path = paths[index] ?? folder;
      hash.update([path.toString("hex"), dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs, rdev].join(" "));
      if (stats.isSymbolicLink()) hash.update(await readlink(path, "hex"));
      if (stats.isDirectory()) await visit(path);
    }
  };
  await visit(Buffer.from(root));
  return hash.digest("hex").slice(0, 32);
}
