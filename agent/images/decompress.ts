import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { NexcageError } from "../../shared/errors.ts";
import { type Compression, compressionOf } from "../../shared/tar.ts";
import { invalid } from "./tar-reader.ts";

export type ReadOptions = {
  /** How much is read and given at once. */
  pieceBytes: number;
};

/**
 * The bytes of a file without its compression: gzip, zstd or none, by its first bytes, as its name may
 * say anything.
 * @throws {NexcageError} `IMAGE_INVALID`
 */
export async function* readDecompressed(file: string, options: ReadOptions): AsyncGenerator<Buffer> {
  const { compression, bytes } = await lookInto(file);
  switch (compression) {
    case undefined:
      yield* createReadStream(file, { highWaterMark: options.pieceBytes });
      return;
    case "gzip":
      yield* through(createGunzip({ chunkSize: options.pieceBytes }), file, 0, options);
      return;
    case "zstd":
      yield* readZstd(file, bytes, options);
      return;
    default:
      throw new NexcageError("IMAGE_INVALID", `the image is compressed with ${compression}`, {
        hint: "unpack it, or compress it with zstd or gzip",
      });
  }
}

/** Frame by frame: Node 24's decompressor takes the end of the first one for the end of the data. */
async function* readZstd(file: string, bytes: number, options: ReadOptions): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes; ) {
    const frame = createZstdDecompress({ chunkSize: options.pieceBytes });
    yield* through(frame, file, start, options);
    if (frame.bytesWritten === 0) throw invalid("its compressed data is damaged");
    start += frame.bytesWritten;
  }
}

async function* through(
  decompressor: Transform,
  file: string,
  start: number,
  { pieceBytes }: ReadOptions,
): AsyncGenerator<Buffer> {
  const source = createReadStream(file, { start, highWaterMark: pieceBytes });
  source.on("error", (error) => decompressor.destroy(error));
  source.pipe(decompressor);
  try {
    yield* decompressor;
  } catch (error) {
    throw decompressionError(error) ?? error;
  } finally {
    source.destroy();
    decompressor.destroy();
  }
}

async function lookInto(file: string): Promise<{ compression: Compression | undefined; bytes: number }> {
  await using handle = await open(file);
  const { buffer } = await handle.read(Buffer.alloc(6), 0, 6, 0);
  return { compression: compressionOf(buffer), bytes: (await handle.stat()).size };
}

/** What zlib says of bytes that it cannot make sense of; undefined for other errors. */
function decompressionError(error: unknown): NexcageError | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "Z_BUF_ERROR") return invalid("it is cut off");
  if (code === "Z_DATA_ERROR" || code.startsWith("ZSTD_")) return invalid("its compressed data is damaged");
  return undefined;
}
