import { mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { blockBytes, encodeHeader, endOfArchive, padding } from "../../shared/tar.ts";
import { formatSize } from "../../shared/units.ts";
import { readDecompressed } from "./decompress.ts";
import { diskFull } from "./disk-full.ts";
import { EntryGuard, mountPoints, type UnpackLimits } from "./entry-guard.ts";
import { invalid, readTar } from "./tar-reader.ts";

/** What an image may come to when it is unpacked. */
const defaultLimits: UnpackLimits = { bytes: 64 * 1024 ** 3, entries: 1_000_000 };

/** How much is read, and given to tar, at once: with 128 KiB it takes twice as long (400 MB, 2 cores). */
const pieceBytes = 1024 * 1024;

export type UnpackOptions = {
  /** An empty folder; after a failure what is in it is of no use. */
  into: string;
  limits?: UnpackLimits;
  /** Sees all bytes of the archive as they are without compression. */
  onArchive?: (data: Buffer) => void;
  signal: AbortSignal;
};

/**
 * Unpacks a tar (plain, gzip, zstd) with its owners, modes, links, capabilities and times, and makes the
 * folders that every container mounts on. GNU tar does the writing, but never sees the archive: each
 * entry is parsed and looked at here, and given to it under a header of our own, so that nothing can
 * mean one thing to the check and another to tar.
 * @throws {NexcageError} `IMAGE_INVALID` naming the entry, `DISK_FULL`
 */
export async function unpack(file: string, options: UnpackOptions): Promise<void> {
  const { into, limits = defaultLimits, onArchive, signal } = options;
  const guard = new EntryGuard(limits);
  const free = await freeBytes(into);
  const tar = execa("tar", tarArguments(into, { isRoot: process.getuid?.() === 0 }), {
    cancelSignal: signal,
    env: { LC_ALL: "C" },
    stdin: "pipe",
    stdout: "ignore",
    reject: false,
  });

  let failure: unknown;
  try {
    await pipeline(
      watched(readDecompressed(file, { pieceBytes }), { limits, onArchive }),
      (archive: AsyncIterable<Buffer>) => inPieces(checked(archive, { guard, free, into })),
      tar.stdin,
      { signal },
    );
  } catch (error) {
    failure = error;
  }
  const { failed, stderr } = await tar;
  signal.throwIfAborted();
  if (failure instanceof NexcageError) throw failure; // tar's complaints are only its consequence
  if (failed) throw tarError(stderr, into);
  if (failure !== undefined) throw failure;
  for (const name of mountPoints) await mkdirIfMissing(join(into, name));
}

/** GNU tar's, to extract what comes by stdin. Pure. */
export function tarArguments(into: string, { isRoot }: { isRoot: boolean }): string[] {
  return [
    "--extract",
    "--file=-",
    `--blocking-factor=${pieceBytes / blockBytes}`,
    `--directory=${into}`,
    "--numeric-owner",
    "--same-permissions",
    isRoot ? "--same-owner" : "--no-same-owner",
    "--delay-directory-restore",
    ...(isRoot ? ["--xattrs", "--xattrs-include=*"] : ["--no-xattrs"]),
  ];
}

/** The checked entries as an archive of our own making. */
async function* checked(
  archive: AsyncIterable<Buffer>,
  { guard, free, into }: { guard: EntryGuard; free: number; into: string },
): AsyncGenerator<Buffer> {
  let dataBytes = 0;
  let unpadded = 0;
  for await (const part of readTar(archive)) {
    if (part.kind === "data") {
      yield part.data;
      continue;
    }
    yield padding(unpadded);
    unpadded = part.entry.bytes;
    dataBytes += part.entry.bytes;
    if (dataBytes > free)
      throw diskFull(`the image unpacks to more than the ${formatSize(free)} that are free`, into);
    const entry = guard.admit(part.entry);
    if (entry !== undefined) yield encodeHeader(entry);
  }
  if (!guard.hasEntries) throw invalid("there is nothing in it");
  yield padding(unpadded);
  yield endOfArchive;
}

/** Bounds what a small file can unpack to, whatever it says of itself. */
async function* watched(
  archive: AsyncIterable<Buffer>,
  { limits, onArchive }: { limits: UnpackLimits; onArchive: ((data: Buffer) => void) | undefined },
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const data of archive) {
    bytes += data.length;
    if (bytes > 2 * limits.bytes) throw invalid(`its archive is larger than ${formatSize(2 * limits.bytes)}`);
    onArchive?.(data);
    yield data;
  }
}

/** Joins what is small, so that an archive of small files is not a write for each of their headers. */
async function* inPieces(buffers: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const buffer of buffers) {
    const isLarge = buffer.length >= pieceBytes / 4;
    if (!isLarge) {
      held.push(buffer);
      heldBytes += buffer.length;
      if (heldBytes < pieceBytes / 4) continue;
    }
    yield Buffer.concat(held);
    held = [];
    heldBytes = 0;
    if (isLarge) yield buffer;
  }
  yield Buffer.concat(held);
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function mkdirIfMissing(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o755 });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}

function tarError(stderr: string, into: string): NexcageError {
  if (/No space left on device|Disk quota exceeded/.test(stderr))
    return diskFull("no space left to unpack the image", into);
  const line = stderr.split("\n").find((text) => text.startsWith("tar: ")) ?? "tar failed";
  return invalid(line.replace(/^tar: /, ""));
}
