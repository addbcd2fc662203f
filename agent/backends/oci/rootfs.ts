import { chmodSync, chownSync, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { NexcageError } from "../../../shared/errors.ts";

export type Overlay = { lower: string; upper: string; work: string };

/** Where an image's files are for one container: an overlay that only the container sees, or a copy. */
export type Rootfs = { path: string; overlay: Overlay | undefined };

/** The layout of a container's own files over an image: `rootfs`, and with an overlay `upper` and `work`. */
export function rootfsIn(bundle: string, image: string, { overlay }: { overlay: boolean }): Rootfs {
  const path = join(bundle, "rootfs");
  if (!overlay) return { path, overlay: undefined };
  return { path, overlay: { lower: image, upper: join(bundle, "upper"), work: join(bundle, "work") } };
}

/** Whether a container was given an overlay when it was made; undefined where it has no files. */
export function hasOverlay(bundle: string): boolean | undefined {
  if (!existsSync(join(bundle, "rootfs"))) return undefined;
  return existsSync(join(bundle, "upper"));
}

/** Makes it: the overlay's folders, or a copy of the image with owners, modes, links and attributes. */
export async function makeRootfs(
  image: string,
  { path, overlay }: Rootfs,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  mkdirSync(path, { recursive: true, mode: 0o755 });
  if (overlay === undefined) return await copyImage(image, path, { signal });
  mkdirSync(overlay.work, { mode: 0o700 });
  mkdirSync(overlay.upper);
  // The root folder that the container sees is the upper one.
  const { mode, uid, gid } = statSync(image);
  chmodSync(overlay.upper, mode & 0o7777);
  chownSync(overlay.upper, uid, gid);
}

async function copyImage(image: string, to: string, { signal }: { signal: AbortSignal }): Promise<void> {
  const { execa } = await import("execa");
  const { failed, isCanceled, stderr } = await execa("cp", ["-a", "--reflink=auto", "--", `${image}/.`, to], {
    cancelSignal: signal,
    env: { LC_ALL: "C" },
    stdin: "ignore",
    reject: false,
  });
  if (isCanceled) signal.throwIfAborted();
  if (!failed) return;
  const isFull = /No space left|Disk quota exceeded/.test(stderr);
  throw new NexcageError(
    isFull ? "DISK_FULL" : "RUNTIME_FAILED",
    `the image could not be copied to ${to}: ${stderr.trim().split("\n")[0]}`,
    isFull ? { hint: `make space there: df -h ${to}` } : {},
  );
}
