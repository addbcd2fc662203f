import { existsSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { Digest } from "../../shared/ids.ts";
import type { Params, Result } from "../../shared/protocol.ts";
import { formatSize } from "../../shared/units.ts";
import type { Log } from "../log.ts";
import type { LockFile } from "../state/lock.ts";
import { diskFull, orDiskFull } from "./disk-full.ts";
import { openSessions } from "./sessions.ts";
import { unpackVerified } from "./verify.ts";

export type ImageStoreOptions = {
  /** Holds `sha256-<hex>/rootfs` for each image. */
  root: string;
  /** For what is not an image yet; on the same filesystem as `root`. */
  uploads: string;
  lockFile: LockFile;
  log: Log;
};

/**
 * The images of this host by digest, as one process uses them. What it asked for or sent is leased: no
 * other process prunes it before this store is closed, or its process gone.
 */
export type ImageStore = AsyncDisposable & {
  /** Those that are not here; all are leased. */
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
   * can take or give up a lease unseen any more, and must look at the records then.
   */
  prune(used: () => Promise<Iterable<Digest>>): Promise<Digest[]>;
};

type Upload = Params<"image/begin"> & { file: FileHandle; path: string };

/** Opens the store, and sweeps what processes that are gone left half done. */
export async function openImageStore({
  root,
  uploads,
  lockFile,
  log,
}: ImageStoreOptions): Promise<ImageStore> {
  // Root's alone: an image holds setuid programs, and belongs to no user of the host.
  await mkdir(root, { recursive: true, mode: 0o700 });
  const sessions = await openSessions(uploads, { lockFile, log });
  const pending = new Map<string, Upload>();
  let count = 0;

  const rootfsOf = (digest: Digest) => join(root, folderName(digest), "rootfs");

  const take = (name: string): Upload => {
    const upload = pending.get(name);
    if (upload === undefined)
      throw new NexcageError("UPLOAD_FAILED", `there is no upload ${JSON.stringify(name)}`);
    return upload;
  };

  /** Removes it from those that can be written to, so that only one can end it. */
  const takeOut = (name: string): Upload => {
    const upload = take(name);
    pending.delete(name);
    return upload;
  };

  return {
    async missing(digests) {
      if (digests.length === 0) return [];
      await sessions.lease(digests);
      const present = digests.map((digest) => existsSync(rootfsOf(digest)));
      return digests.filter((_digest, index) => !present[index]);
    },

    async begin(image) {
      const folder = await sessions.lease([image.digest]);
      const present = rootfsOf(image.digest);
      if (existsSync(present)) return { upload: "", path: present, present: true };
      await requireSpace(uploads, image.bytes);
      count += 1;
      const name = String(count);
      const path = join(folder, `${name}.tar`);
      pending.set(name, { ...image, path, file: await open(path, "wx", 0o600) });
      return { upload: name, path, present: false };
    },

    async chunk(name, offset, data) {
      const { file, bytes } = take(name);
      if (offset + data.length > bytes)
        throw new NexcageError("UPLOAD_FAILED", `more than the announced ${bytes} bytes were sent`);
      try {
        await writeAll(file, data, offset);
      } catch (error) {
        throw orDiskFull(error, uploads);
      }
    },

    async commit(name, { signal }) {
      const upload = takeOut(name);
      const unpacked = upload.path.replace(/\.tar$/, "");
      try {
        await unpackUpload(upload, { into: join(unpacked, "rootfs"), signal });
        await syncFilesystem(unpacked, { signal });
        // Another session may have been faster: the same digest is the same image.
        if (await renameUnlessThere(unpacked, join(root, folderName(upload.digest)))) await syncFolder(root);
      } catch (error) {
        throw orDiskFull(error, uploads);
      } finally {
        await rm(unpacked, { recursive: true, force: true });
      }
      log.info({ digest: upload.digest, bytes: upload.bytes }, "image added");
    },

    cancel: async (name) => await discard(takeOut(name)),

    async rootfs(digest) {
      await sessions.lease([digest]);
      if (existsSync(rootfsOf(digest))) return rootfsOf(digest);
      throw new NexcageError("IMAGE_MISSING", `the image ${digest} is not on this host`, {
        hint: "apply again: it sends the images that are missing",
        details: { digest },
      });
    },

    async prune(used) {
      return await sessions.withoutNewLeases(async ({ leased, trash }) => {
        const kept = new Set<string>([...leased, ...(await used())]);
        const removed: Digest[] = [];
        for (const name of await readdir(root)) {
          const digest = digestOfFolder(name);
          if (digest === undefined || kept.has(digest)) continue;
          await rename(join(root, name), join(trash, name));
          log.info({ digest }, "image removed");
          removed.push(digest);
        }
        return removed;
      });
    },

    async [Symbol.asyncDispose]() {
      for (const name of [...pending.keys()]) await discard(takeOut(name));
      await sessions[Symbol.asyncDispose]();
    },
  };
}

/** The archive is gone when it returns: its bytes need not reach the disk. */
async function unpackUpload(
  upload: Upload,
  { into, signal }: { into: string; signal: AbortSignal },
): Promise<void> {
  try {
    await mkdir(into, { recursive: true, mode: 0o755 });
    await unpackVerified(upload, { into, signal });
  } finally {
    await discard(upload);
  }
}

async function discard({ file, path }: Upload): Promise<void> {
  await file.close();
  await rm(path, { force: true });
}

function folderName(digest: Digest): string {
  return digest.replace(":", "-");
}

function digestOfFolder(name: string): Digest | undefined {
  return Digest.safeParse(name.replace("-", ":")).data;
}

/** Twice: it is there packed and unpacked for a while, and unpacked it is not smaller. */
async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (2 * bytes <= bavail * bsize) return;
  throw diskFull(
    `the image needs ${formatSize(2 * bytes)}, and ${formatSize(bavail * bsize)} are free`,
    folder,
  );
}

/** write(2) may take less than all, and on a full disk takes what still fits before it fails. */
async function writeAll(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let at = 0; at < data.length; )
    at += (await file.write(data, at, data.length - at, offset + at)).bytesWritten;
}

/** False when something is there already. */
async function renameUnlessThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error;
    return false;
  }
}

/** syncfs(2), which Node does not have: one call for all files of an image. */
async function syncFilesystem(folder: string, { signal }: { signal: AbortSignal }): Promise<void> {
  const { failed, stderr } = await execa("sync", ["--file-system", folder], {
    cancelSignal: signal,
    reject: false,
  });
  signal.throwIfAborted();
  if (failed) throw new NexcageError("RUNTIME_FAILED", `could not write ${folder} to disk: ${stderr}`);
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder);
  await handle.sync();
}
