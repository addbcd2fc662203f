import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { NexcageError } from "../../../shared/errors.ts";
import { diskFull } from "../../images/disk-full.ts";
import type { LockFile } from "../../state/lock.ts";

/**
 * A root file system of this host as the archive that pct makes containers from: built once, however many want it.
 * @throws {NexcageError} `DISK_FULL`, `RUNTIME_FAILED`
 */
export async function templateArchive(
  { rootfs, archive }: { rootfs: string; archive: string },
  { lockFolder, lockFile, signal }: { lockFolder: string; lockFile: LockFile; signal: AbortSignal },
): Promise<string> {
  if (existsSync(archive)) return archive;
  // Several containers of it are made at once, in this process too.
  const lockPath = join(
    lockFolder,
    `template-${createHash("sha256").update(archive).digest("hex").slice(0, 16)}`,
  );
  await using _lock = await lockFile(lockPath, { wait: true, signal });
  if (existsSync(archive)) return archive;
  const { execa } = await import("execa");
  const draft = `${archive}.new`; // the lock's holder alone writes it
  const words = ["--create", "--zstd", `--file=${draft}`, `--directory=${rootfs}`, "--numeric-owner"];
  const { failed, stderr } = await execa("tar", [...words, "--xattrs", "--xattrs-include=*", "."], {
    cancelSignal: signal,
    env: { LC_ALL: "C" },
    reject: false,
  });
  if (failed) await rm(draft, { force: true });
  signal.throwIfAborted();
  if (/No space left/.test(stderr)) throw diskFull("no space left for a template", archive);
  if (failed) throw new NexcageError("RUNTIME_FAILED", `cannot pack ${rootfs}: ${stderr.trim()}`);
  await rename(draft, archive);
  return archive;
}
