import { createHash } from "node:crypto";
import { NexcageError } from "../../shared/errors.ts";
import { sha256OfFile } from "../../shared/file-digest.ts";
import type { Digest } from "../../shared/ids.ts";
import type { UnpackLimits } from "./entry-guard.ts";
import { unpack } from "./unpack.ts";

/** What was announced of an upload, and where its bytes are. */
export type Announced = { path: string; digest: Digest; sha256: string; bytes: number };

/**
 * Unpacks an upload after its bytes were checked, so that nothing is parsed that is not what its sender
 * read. The digest is that of these bytes or, for what is compressed on its way, of the tar in them.
 * @throws {NexcageError} `UPLOAD_FAILED`, `IMAGE_INVALID`, `DISK_FULL`
 */
export async function unpackVerified(
  { path, digest, sha256, bytes }: Announced,
  { into, limits, signal }: { into: string; limits?: UnpackLimits; signal: AbortSignal },
): Promise<void> {
  const received = await sha256OfFile(path, { signal });
  if (received.bytes !== bytes || received.sha256 !== sha256)
    throw new NexcageError(
      "UPLOAD_FAILED",
      received.bytes === bytes
        ? `what arrived of image ${digest} is not what was sent: its sha256 is ${received.sha256}`
        : `of image ${digest} ${received.bytes} bytes arrived, not ${bytes}`,
      { hint: "apply again: it sends it anew", details: { digest, ...received } },
    );
  const ofArchive = digest === `sha256:${sha256}` ? undefined : createHash("sha256");
  await unpack(path, {
    into,
    signal,
    ...(limits !== undefined && { limits }),
    ...(ofArchive !== undefined && { onArchive: (data) => ofArchive.update(data) }),
  });
  const inside = ofArchive?.digest("hex");
  if (inside !== undefined && digest !== `sha256:${inside}`)
    throw new NexcageError("IMAGE_INVALID", `the tar in image ${digest} has the sha256 ${inside}`, {
      hint: "apply again: it packs and sends it anew",
    });
}
