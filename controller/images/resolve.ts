import { stat } from "node:fs/promises";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { Digest } from "../../shared/ids.ts";
import { type ImageCache, openImageCache } from "./cache.ts";
import { fingerprintOf, walkFolder } from "./folder.ts";
import { packFolder } from "./pack.ts";
import { hashTar } from "./tar-file.ts";

export type ResolveOptions = {
  /** Where packed folders and known digests are kept. */
  cacheDir: string;
  signal: AbortSignal;
  /** Told once when something begins that takes a while, with the bytes that there are to read. */
  onProgress?: (progress: { phase: "hashing" | "packing"; bytes: number }) => void;
  /** The clock, in ms since 1970. */
  now?: () => number;
};

export type ResolvedImage = {
  digest: Digest;
  /** The bytes to send: the tar itself, or a packed folder in the cache. */
  file: string;
  bytes: number;
  /** Of these bytes, in hex. */
  sha256: string;
};

/**
 * What a `rootfs:` is, ready to send: a tar (plain, gz, zst) as it is, known by the sha256 of the file; a
 * folder packed, known by the sha256 of its tar, which is the same for the same names, contents, modes
 * and links on every machine: owners are root's and times are not kept. Neither is read again while it
 * has not changed.
 * @throws {NexcageError} `INVALID_FILE` naming the path, `DISK_FULL`
 */
export async function resolveImage(path: string, options: ResolveOptions): Promise<ResolvedImage> {
  const cache = await openImageCache(options.cacheDir, { now: options.now ?? Date.now });
  const stats = await statSource(path);
  if (stats.isDirectory()) return await resolveFolder(path, cache, options);
  if (stats.isFile()) return await resolveTar(path, cache, options);
  throw new NexcageError("INVALID_FILE", `${path} is neither a folder nor a tar archive`);
}

async function resolveTar(path: string, cache: ImageCache, options: ResolveOptions): Promise<ResolvedImage> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  const key = ["tar", dev, ino, size, mtimeNs, ctimeNs].join(" ");
  const bytes = Number(size);
  let sha256 = (await cache.find(key))?.sha256;
  if (sha256 === undefined) {
    options.onProgress?.({ phase: "hashing", bytes });
    sha256 = await hashTar(path, { bytes, signal: options.signal });
    await cache.remember(key, { sha256, bytes }, { changedNs: ctimeNs });
  }
  return { digest: Digest.parse(`sha256:${sha256}`), file: path, bytes, sha256 };
}

async function resolveFolder(
  path: string,
  cache: ImageCache,
  options: ResolveOptions,
): Promise<ResolvedImage> {
  const { signal } = options;
  const entries = await walkFolder(path, { signal });
  if (entries.length === 0) throw new NexcageError("INVALID_FILE", `${path} is an empty folder`);
  const { key, bytes, changedNs } = fingerprintOf(entries);
  const known = await cache.find(key);
  if (known?.digest !== undefined && (await cache.hasFile(known.digest, known.bytes)))
    return { ...known, digest: known.digest, file: cache.fileOf(known.digest) };

  options.onProgress?.({ phase: "packing", bytes });
  const packed = await packFolder(path, entries, { into: cache.newFile(), signal });
  const image = { digest: packed.digest, sha256: packed.sha256, bytes: packed.bytes };
  const file = await cache.keep(packed.file, packed.digest);
  await cache.remember(key, image, { changedNs });
  await cache.trim({ except: file });
  return { ...image, file };
}

async function statSource(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP")) throw error;
    const reason = hasCode(error, "EACCES") ? "cannot be read" : "does not exist";
    throw new NexcageError("INVALID_FILE", `${path} ${reason}`, { cause: error });
  }
}
