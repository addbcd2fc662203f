import type { Logger } from "pino";
import { NexcageError } from "../../shared/errors.ts";
import type { Digest } from "../../shared/ids.ts";
import type { Params, Result } from "../../shared/protocol.ts";

/**
 * Takes an exclusive flock(2) on a file, made where it is missing: with `wait` when it is free, without
 * `wait` at once or not at all (undefined). The kernel frees it with the process.
 */
export type LockFile = (
  path: string,
  options: { wait: boolean; signal: AbortSignal },
) => Promise<AsyncDisposable | undefined>;

export type ImageStoreOptions = {
  /** Holds `sha256-<hex>/rootfs` for each image. */
  root: string;
  /** For what is not an image yet; on the same filesystem as `root`. */
  uploads: string;
  lockFile: LockFile;
  log: Logger;
};

/**
 * The images of this host by digest, as one process uses them. What it asked for or sent is leased: no
 * other process prunes it before this store is closed, or its process gone.
 */
export type ImageStore = AsyncDisposable & {
  /** Those that are not here; the others are leased. */
  missing(digests: Digest[]): Promise<Digest[]>;
  /** @throws {NexcageError} `DISK_FULL` when the image cannot fit, before a byte is sent */
  begin(image: Params<"image/begin">): Promise<Result<"image/begin">>;
  /** @throws {NexcageError} `UPLOAD_FAILED`, `DISK_FULL` */
  chunk(upload: string, offset: number, data: Buffer): Promise<void>;
  /**
   * Checks the bytes, unpacks them and makes them an image, durably. Whatever fails, the upload is gone.
   * @throws {NexcageError} `UPLOAD_FAILED` not the bytes that were announced, `IMAGE_INVALID`, `DISK_FULL`
   */
  commit(upload: string, options: { signal: AbortSignal }): Promise<void>;
  cancel(upload: string): Promise<void>;
  /** Where the image's files are; it is leased. @throws {NexcageError} `IMAGE_MISSING` */
  rootfs(digest: Digest): Promise<string>;
  /**
   * Removes the images that no container uses and no live process leases. `used` is asked when nobody
   * can take a lease any more, and must look at the records then.
   */
  prune(used: () => Promise<Iterable<Digest>>): Promise<Digest[]>;
};

/** Opens the store, and sweeps what processes that are gone left half done. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  throw new NexcageError("INTERNAL", `no image store at ${options.root}`);
}
