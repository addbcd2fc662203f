import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";

/** The sha256 of a file as it is, in hex, and how many bytes were read for it. */
export async function sha256OfFile(
  path: string,
  { signal }: { signal: AbortSignal },
): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  await pipeline(
    createReadStream(path, { highWaterMark: 1024 * 1024 }),
    async (source: AsyncIterable<Buffer>) => {
      for await (const data of source) {
        bytes += data.length;
        hash.update(data);
      }
    },
    { signal },
  );
  return { sha256: hash.digest("hex"), bytes };
}
