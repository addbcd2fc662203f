import { open } from "node:fs/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { sha256OfFile } from "../../shared/file-digest.ts";
import { blockBytes, compressionOf, parseHeader } from "../../shared/tar.ts";

/** How much of a compressed file is read to see what is in it: far more than its first block needs. */
const peekBytes = 64 * 1024;

/**
 * The sha256 of a tar archive as it is, in hex, once its beginning has shown that it is one.
 * @throws {NexcageError} `INVALID_FILE` naming the path
 */
export async function hashTar(
  path: string,
  { bytes, signal }: { bytes: number; signal: AbortSignal },
): Promise<string> {
  try {
    await requireTar(path);
    const read = await sha256OfFile(path, { signal });
    if (read.bytes === bytes) return read.sha256;
  } catch (error) {
    if (!hasCode(error, "EACCES")) throw error;
    throw new NexcageError("INVALID_FILE", `${path} cannot be read`, { cause: error });
  }
  throw new NexcageError("INVALID_FILE", `${path} changed while it was read`, { hint: "try again" });
}

async function requireTar(path: string): Promise<void> {
  const beginning = await readBeginning(path);
  const compression = compressionOf(beginning);
  if (compression === "xz" || compression === "bzip2")
    throw new NexcageError("INVALID_FILE", `${path} is compressed with ${compression}`, {
      hint: "unpack it, or compress it with zstd or gzip",
    });
  const block = compression === undefined ? beginning : await firstPlainBytes(beginning, compression);
  if (block.length >= blockBytes && parseHeader(block.subarray(0, blockBytes)) !== undefined) return;
  throw new NexcageError("INVALID_FILE", `${path} is not a tar archive`, {
    hint: "a rootfs is a folder, or a tar archive of one (plain, gzip or zstd)",
  });
}

async function readBeginning(path: string): Promise<Buffer> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(peekBytes), 0, peekBytes, 0);
  return buffer.subarray(0, bytesRead);
}

/** What a compressed beginning holds, as far as it goes; nothing when it is damaged. */
async function firstPlainBytes(beginning: Buffer, compression: "gzip" | "zstd"): Promise<Buffer> {
  const decompressor = compression === "gzip" ? createGunzip() : createZstdDecompress();
  decompressor.end(beginning);
  try {
    for await (const data of decompressor) return data;
  } catch {
    // It ends in the middle, or is none: what came before is what there is.
  }
  return Buffer.alloc(0);
}
