import { open } from "node:fs/promises";
import type { Digest } from "../../shared/ids.ts";
import { limits } from "../../shared/protocol.ts";
import type { Emit } from "../events.ts";
import type { HostAgent } from "../fleet.ts";

/** The bytes of an image as they are sent: `path` is what the user wrote, `file` what is read. */
export type LocalImage = { digest: Digest; path: string; file: string; bytes: number; sha256: string };

/**
 * Sends a host the images that it does not have, each once: to a temporary name, where the agent checks
 * and unpacks them.
 * @throws {NexcageError} `UPLOAD_FAILED`, `DISK_FULL`, `IMAGE_INVALID`, or that the host was lost
 */
export async function uploadMissing(
  agent: HostAgent,
  images: LocalImage[],
  { emit, signal }: { emit: Emit; signal: AbortSignal },
): Promise<void> {
  if (images.length === 0) return;
  const wanted = new Map(images.map((image) => [image.digest, image]));
  const { digests } = await agent.request("image/missing", { digests: [...wanted.keys()] }, { signal });
  for (const digest of digests) {
    const image = wanted.get(digest);
    if (image !== undefined) await upload(agent, image, { emit, signal });
  }
}

async function upload(
  agent: HostAgent,
  image: LocalImage,
  { emit, signal }: { emit: Emit; signal: AbortSignal },
): Promise<void> {
  const { digest, sha256, bytes, path, file } = image;
  const host = agent.host.name;
  const startedMs = performance.now();
  const begun = await agent.request("image/begin", { digest, sha256, bytes }, { signal });
  if (begun.present) return;
  emit({ kind: "upload.started", host, path, bytes });
  const onProgress = (sentBytes: number): void =>
    emit({ kind: "upload.progress", host, path, sentBytes, bytes });
  const sent = await agent.upload(file, begun.path, { signal, onProgress });
  if (!sent) await sendChunks(agent, { upload: begun.upload, file, onProgress, signal });
  await agent.request("image/commit", { upload: begun.upload }, { signal });
  emit({ kind: "upload.done", host, path, bytes, durationMs: performance.now() - startedMs });
}

/** Several chunks on their way at once, so that the round trip is not waited for each time. */
const chunksInFlight = 4;

async function sendChunks(
  agent: HostAgent,
  options: { upload: string; file: string; onProgress: (sentBytes: number) => void; signal: AbortSignal },
): Promise<void> {
  const { upload, file, onProgress, signal } = options;
  await using handle = await open(file);
  const pending: Promise<unknown>[] = [];
  for (let offset = 0; ; ) {
    const { bytesRead, buffer } = await handle.read(
      Buffer.alloc(limits.chunkBytes),
      0,
      limits.chunkBytes,
      offset,
    );
    if (bytesRead === 0) break;
    const data = buffer.subarray(0, bytesRead).toString("base64");
    pending.push(agent.request("image/chunk", { upload, offset, data }, { signal }));
    offset += bytesRead;
    if (pending.length >= chunksInFlight) await pending.shift();
    onProgress(offset);
  }
  await Promise.all(pending);
}
