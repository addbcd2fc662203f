import type { Log } from "../log.ts";
import type { Paths } from "../paths.ts";
import { type Counted, durationBounds, type OperationCounts } from "./counted.ts";
import type { LockFile } from "./lock.ts";

export type OperationEnd = {
  kind: string;
  result: "done" | "failed" | "interrupted";
  seconds: number;
};

/** How many operations the agents of a host have ended, which no one process knows. */
export type Counters = AsyncDisposable & {
  count(end: OperationEnd): void;
};

/** Keeps what this process has counted, and adds it to the host's when it ends: one that is killed loses its own. */
export function openCounters({
  paths,
  lockFile,
  log,
}: {
  paths: Paths;
  lockFile: LockFile;
  log: Log;
}): Counters {
  const own: Counted = {};
  return {
    count(end) {
      own[end.kind] = add(own[end.kind] ?? none(), countOf(end));
    },
    async [Symbol.asyncDispose]() {
      if (Object.keys(own).length === 0) return;
      try {
        const { readCounters, writeCounters } = await import("./counter-file.ts");
        const signal = AbortSignal.timeout(2_000);
        await using _lock = await lockFile(paths.countersLock, { wait: true, signal });
        const all = readCounters(paths);
        for (const [kind, counts] of Object.entries(own)) all[kind] = add(all[kind] ?? none(), counts);
        await writeCounters(paths, all);
      } catch (err) {
        log.warn({ err }, "could not add to the counters"); // nothing that was done depends on them
      }
    },
  };
}

function none(): OperationCounts {
  return { done: 0, failed: 0, interrupted: 0, seconds: 0, buckets: durationBounds.map(() => 0) };
}

function countOf({ result, seconds }: OperationEnd): OperationCounts {
  const buckets = durationBounds.map((bound) => Number(seconds <= bound));
  return { ...none(), [result]: 1, seconds, buckets };
}

function add(a: OperationCounts, b: OperationCounts): OperationCounts {
  return {
    done: a.done + b.done,
    failed: a.failed + b.failed,
    interrupted: a.interrupted + b.interrupted,
    seconds: a.seconds + b.seconds,
    buckets: a.buckets.map((count, index) => count + (b.buckets[index] ?? 0)),
  };
}
