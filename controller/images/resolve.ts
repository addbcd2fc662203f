import { NexcageError } from "../../shared/errors.ts";
import type { Digest } from "../../shared/ids.ts";

export type ResolveOptions = {
  /** Where packed folders and known digests are kept; `defaultCacheDir` of the environment. */
  cacheDir: string;
  signal: AbortSignal;
  onProgress?: (progress: { phase: "hashing" | "packing"; bytes: number }) => void;
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
 * What a `rootfs:` is, ready to send: a tar (plain, gz, zst) as it is, a folder packed so that the same
 * files give the same digest on every machine.
 * @throws {NexcageError} `INVALID_FILE` naming the path
 */
export async function resolveImage(path: string, options: ResolveOptions): Promise<ResolvedImage> {
  throw new NexcageError("INVALID_FILE", `${path}: ${options.cacheDir}`);
}
