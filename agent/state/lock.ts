import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NexcageError } from "../../shared/errors.ts";

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

/** `flock(2)` on an open file, without waiting; false where another open file holds it. */
export type Flock = (fd: number, operation: "exclusive") => Promise<boolean>;

/** A lock that is held. Its file may carry a word about its holder, for who finds it held. */
export type Lock = AsyncDisposable & { write(text: string): void };

/**
 * Takes an exclusive lock on a file, made where it is missing: with `wait` when it is free, without
 * `wait` at once or not at all (undefined). The kernel frees it with the process. Who gives it back
 * removes the file, but for one that is others' too (`keep`).
 */
export type LockFile = (
  path: string,
  options: { wait: boolean; keep?: boolean; signal: AbortSignal },
) => Promise<Lock | undefined>;

export function lockFileWith(flock: Flock): LockFile {
  return async (path, { wait, keep = false, signal }) => {
    const folder = dirname(path);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    requireOwn(folder);
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      const file = openSync(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
      const isLocked = await flock(file, "exclusive");
      if (isLocked && isStillAt(path, file)) return held(path, file, { keep });
      closeSync(file);
      if (isLocked) continue;
      if (!wait) return undefined;
      // A waiting flock(2) could not be ended by a signal. Short at first, because most holders are quick.
      await sleep(Math.min(2 * attempt, 50), undefined, { signal });
    }
  };
}

/**
 * Anybody may make a folder in /run/lock, before an agent has: with links in it to what is to be overwritten, or files that
 * are locked for good.
 */
function requireOwn(folder: string): void {
  const { uid, mode } = lstatSync(folder);
  if (uid === process.geteuid?.() && (mode & 0o022) === 0) return;
  throw new NexcageError("STATE_CORRUPT", `${folder} belongs to uid ${uid}, or others may write there`, {
    hint: `when no agent runs: rm -r ${folder}`,
    details: { path: folder },
  });
}

/** A lock that this process was given with its open file: Node lets none of its children inherit that. */
export function adoptLock(path: string, file: number): Lock {
  return held(path, file, { keep: false });
}

/** Takes one of so many locks, as soon as one is free. */
export async function lockOneOf(
  lockFile: LockFile,
  path: string,
  { count, signal }: { count: number; signal: AbortSignal },
): Promise<Lock> {
  for (;;) {
    for (let number = 0; number < count; number++) {
      const lock = await lockFile(number === 0 ? path : `${path}.${number}`, { wait: false, signal });
      if (lock !== undefined) return lock;
    }
    await sleep(50, undefined, { signal });
  }
}

/** False when who held it before has removed the file: what we locked is nobody's any more. */
function isStillAt(path: string, file: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const ours = fstatSync(file);
  return there?.ino === ours.ino && there.dev === ours.dev;
}

function held(path: string, file: number, { keep }: { keep: boolean }): Lock {
  return {
    write(text) {
      ftruncateSync(file, 0);
      writeSync(file, text);
    },
    async [Symbol.asyncDispose]() {
      if (!keep) rmSync(path, { force: true }); // somebody may have removed the folder
      closeSync(file);
    },
  };
}

/**
 * Takes a container's lock, waiting for who has it.
 * @throws {NexcageError} `LOCK_HELD` after `timeoutMs`
 */
export async function lockContainer(
  lockFile: LockFile,
  path: string,
  { id, timeoutMs, signal }: { id: string; timeoutMs: number; signal: AbortSignal },
): Promise<Lock> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const lock = await lockFile(path, { wait: true, signal: AbortSignal.any([signal, limit]) });
    if (lock !== undefined) return lock;
  } catch (error) {
    if (signal.aborted || !limit.aborted) throw error;
  }
  throw new NexcageError(
    "LOCK_HELD",
    `container ${id} is busy: another command has worked on it for ${timeoutMs / 1_000} s`,
    {
      hint: "wait for it, or give --lock-timeout more",
    },
  );
}
