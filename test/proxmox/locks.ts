// flock(2) through the program of that name: the lock belongs to our open file, and ends with us however we end.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "./failure.ts";

export type LockOptions = { timeoutS: number; exitCode?: number };

export function guestLockFile(vmid: string): string {
  return `/run/lock/lxc/pve-config-${vmid}.lock`;
}

/**
 * The flock of one guest, as a task or `set` holds it (the recorded facts, "Locks").
 * @throws {Failure} `can't lock file '…' - got timeout`, exit 4 for what is no task
 */
export async function withGuestLock<T>(
  vmid: string,
  work: () => Promise<T>,
  { timeoutS = 10, exitCode = 4 }: Partial<LockOptions> = {},
): Promise<T> {
  return await withFileLock(guestLockFile(vmid), { timeoutS, exitCode }, work);
}

export async function withStorageLock<T>(storage: string, work: () => Promise<T>): Promise<T> {
  return await withFileLock(`/run/lock/pve-manager/pve-storage-${storage}`, { timeoutS: 10 }, work);
}

export async function withFileLock<T>(
  path: string,
  { timeoutS, exitCode = 255 }: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, "a");
  try {
    if (!(await flock(file, ["--nonblock"]))) {
      process.stderr.write("trying to acquire lock...");
      if (!(await flock(file, ["--timeout", String(timeoutS)]))) {
        process.stderr.write("\n");
        throw new Failure(`can't lock file '${path}' - got timeout`, { exitCode });
      }
      process.stderr.write(" OK\n");
    }
    return await work();
  } finally {
    closeSync(file);
  }
}

async function flock(file: number, options: string[]): Promise<boolean> {
  const child = spawn("flock", ["--exclusive", ...options, "3"], {
    stdio: ["ignore", "ignore", "inherit", file],
  });
  const [code] = await once(child, "exit");
  return code === 0;
}
