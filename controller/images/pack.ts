import { createHash } from "node:crypto";
import { constants, createWriteStream } from "node:fs";
import { open, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { Digest } from "../../shared/ids.ts";
import { encodeHeader, endOfArchive, padding, type TarEntry } from "../../shared/tar.ts";
import { type FolderEntry, onDisk, shownPath } from "./folder.ts";

const pieceBytes = 256 * 1024;

export type PackedFolder = {
  file: string;
  /** Of the tar without its compression, so that it does not depend on zstd's version. */
  digest: Digest;
  sha256: string;
  bytes: number;
};

/**
 * Packs the entries of a folder into one zstd-compressed tar. All belong to root, no times are kept: what
 * differs between two checkouts of the same files is left out.
 * @param into a path that is not there; on failure it is not there either
 * @throws {NexcageError} `INVALID_FILE` for what changed meanwhile or cannot be read, `DISK_FULL`
 */
export async function packFolder(
  root: string,
  entries: FolderEntry[],
  { into, signal }: { into: string; signal: AbortSignal },
): Promise<PackedFolder> {
  const ofTar = createHash("sha256");
  const ofFile = createHash("sha256");
  let bytes = 0;
  try {
    await pipeline(
      watched(tarOf(root, entries), (data) => ofTar.update(data)),
      createZstdCompress({ chunkSize: pieceBytes }),
      (packed: AsyncIterable<Buffer>) =>
        watched(packed, (data) => {
          bytes += data.length;
          ofFile.update(data);
        }),
      createWriteStream(into, { flags: "wx", mode: 0o600 }),
      { signal },
    );
  } catch (error) {
    await rm(into, { force: true });
    if (!hasCode(error, "ENOSPC", "EDQUOT")) throw error;
    throw new NexcageError("DISK_FULL", `no space left to pack ${root} into ${into}`, {
      hint: "make space there, or set XDG_CACHE_HOME to where there is some",
      cause: error,
    });
  }
  return {
    file: into,
    digest: Digest.parse(`sha256:${ofTar.digest("hex")}`),
    sha256: ofFile.digest("hex"),
    bytes,
  };
}

async function* tarOf(root: string, entries: FolderEntry[]): AsyncGenerator<Buffer> {
  const firstNames = new Map<string, string>();
  for (const entry of entries) {
    const first = entry.hardLinkKey === undefined ? undefined : firstNames.get(entry.hardLinkKey);
    if (first !== undefined) {
      yield encodeHeader(tarEntry({ ...entry, type: "link", linkPath: first, bytes: 0 }));
      continue;
    }
    if (entry.hardLinkKey !== undefined) firstNames.set(entry.hardLinkKey, entry.path);
    yield encodeHeader(tarEntry(entry));
    if (entry.type === "file") yield* contentOf(root, entry);
  }
  yield endOfArchive;
}

function tarEntry({
  type,
  path,
  linkPath,
  bytes,
  mode,
}: Omit<FolderEntry, "type"> & Pick<TarEntry, "type">): TarEntry {
  return { type, path, linkPath, bytes, mode, uid: 0, gid: 0, mtime: 0, xattrs: {} };
}

/** Exactly as many bytes as its header says, or an error. */
async function* contentOf(root: string, { path, bytes }: FolderEntry): AsyncGenerator<Buffer> {
  const changed = () =>
    new NexcageError("INVALID_FILE", `${shownPath(root, path)} changed while it was packed`, {
      hint: "try again when nothing writes there",
    });
  await using file = await openFile(root, path);
  for (let at = 0; at < bytes; ) {
    const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, bytes - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw changed();
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  if ((await file.stat()).size !== bytes) throw changed();
  yield padding(bytes);
}

async function openFile(root: string, path: string) {
  try {
    return await open(onDisk(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (!hasCode(error, "EACCES", "ENOENT", "ELOOP", "ENOTDIR")) throw error;
    const reason = hasCode(error, "EACCES") ? "cannot be read" : "changed while it was packed";
    throw new NexcageError("INVALID_FILE", `${shownPath(root, path)} ${reason}`, { cause: error });
  }
}

async function* watched(source: AsyncIterable<Buffer>, see: (data: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const data of source) {
    see(data);
    yield data;
  }
}
