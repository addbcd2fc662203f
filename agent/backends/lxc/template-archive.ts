import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { NexcageError } from "../../../shared/errors.ts";
import { diskFull } from "../../images/disk-full.ts";
import type { LockFile } from "../../state/lock.ts";

/**
 * An image of this host as the archive that pct makes containers from: built once, however many want it, kept beside the image's
 * files, and removed with them.
 * @param rootfs the image's files
 * @throws {NexcageError} `DISK_FULL`, `RUNTIME_FAILED`
 */
export async function templateArchive(
  rootfs: string,
  { lockFolder, lockFile, signal }: { lockFolder: string; lockFile: LockFile; signal: AbortSignal },
): Promise<string> {
  const folder = dirname(rootfs);
  const archive = join(folder, "template.tar.zst");
  if (existsSync(archive)) return archive;
  // Several containers of one image are made at once, in this process too.
  const lockPath = join(lockFolder, `template-${basename(folder)}`);
  await using _lock = await lockFile(lockPath, { wait: true, signal });
  if (existsSync(archive)) return archive;
  const { execa } = await import("execa");
  const draft = `${archive}.${process.pid}.new`;
  const words = ["--create", "--zstd", `--file=${draft}`, `--directory=${rootfs}`, "--numeric-owner"];
  const { failed, stderr } = await execa("tar", [...words, "--xattrs", "--xattrs-include=*", "."], {
    cancelSignal: signal,
    env: { LC_ALL: "C" },
    reject: false,
  });
  if (failed) await rm(draft, { force: true });
  signal.throwIfAborted();
  if (/No space left/.test(stderr)) throw diskFull("no space left for the template of an image", archive);
  if (failed) throw new NexcageError("RUNTIME_FAILED", `cannot pack ${rootfs}: ${stderr.trim()}`);
  await rename(draft, archive);
  return archive;
}
