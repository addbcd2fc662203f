import { readFile } from "node:fs/promises";
import { LockHolder } from "../shared/container.ts";
import { NexcageError } from "../shared/errors.ts";
import type { LockFile } from "./state/lock.ts";

/**
 * A fleet's lock on this host, with its holder's name in it.
 * @throws {NexcageError} `LOCK_HELD` at once; `details.holder` is who has it
 */
export async function lockFleet(
  path: string,
  options: { fleet: string; holder: LockHolder; lockFile: LockFile; signal: AbortSignal },
): Promise<AsyncDisposable> {
  const { fleet, holder, lockFile, signal } = options;
  const lock = await lockFile(path, { wait: false, signal });
  if (lock !== undefined) {
    lock.write(JSON.stringify(holder));
    return lock;
  }
  const other = await readHolder(path);
  const who = other === undefined ? "another controller" : `${other.user}@${other.host} (pid ${other.pid})`;
  throw new NexcageError("LOCK_HELD", `the lock of fleet ${fleet} is held by ${who}`, {
    hint: "wait for it, or end it there",
    details: { fleet, ...(other !== undefined && { holder: other }) },
  });
}

/** Undefined while its holder is just writing it, or gone. */
async function readHolder(path: string): Promise<LockHolder | undefined> {
  try {
    const parsed = LockHolder.safeParse(JSON.parse(await readFile(path, "utf8")));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
