import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { lockFleet } from "../../agent/fleet-lock.ts";
import { flock } from "../../agent/libc.ts";
import { lockContainer, lockFileWith } from "../../agent/state/lock.ts";
import { NexcageError } from "../../shared/errors.ts";

const lockFile = lockFileWith(flock);
const signal = AbortSignal.timeout(60_000);

async function makePath(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-lock-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "lock/one");
}

test("a lock is one holder's at a time, also within a process", async (t) => {
  const path = await makePath(t);
  let holders = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      await using _lock = await lockFile(path, { wait: true, signal });
      holders += 1;
      most = Math.max(most, holders);
      await new Promise(setImmediate);
      holders -= 1;
    }),
  );
  t.is(most, 1);
  t.deepEqual(await readdir(join(path, "..")), [], "and its file is gone when nobody holds it");
});

test("without waiting, a lock that is held is not taken", async (t) => {
  const path = await makePath(t);
  const first = await lockFile(path, { wait: false, signal });
  t.is(await lockFile(path, { wait: false, signal }), undefined);
  await first?.[Symbol.asyncDispose]();
  const again = await lockFile(path, { wait: false, signal });
  t.truthy(again);
  await again?.[Symbol.asyncDispose]();
});

test("waiting for a container's lock ends after its time, and says what to do", async (t) => {
  const path = await makePath(t);
  await using _lock = await lockFile(path, { wait: true, signal });
  const error = await t.throwsAsync(lockContainer(lockFile, path, { id: "web", timeoutMs: 30, signal }), {
    instanceOf: NexcageError,
    code: "LOCK_HELD",
  });
  t.regex(error?.hint ?? "", /--lock-timeout/);
});

test("waiting for a lock ends with its signal", async (t) => {
  const path = await makePath(t);
  await using _lock = await lockFile(path, { wait: true, signal });
  const stop = new AbortController();
  const waiting = lockContainer(lockFile, path, { id: "web", timeoutMs: 60_000, signal: stop.signal });
  stop.abort();
  await t.throwsAsync(waiting, { name: "AbortError" });
});

test("a fleet's lock that is held names its holder at once", async (t) => {
  const path = await makePath(t);
  const holder = {
    user: "ann",
    host: "laptop",
    pid: 42,
    since: "2026-01-01T00:00:00.000Z",
    command: "fleet apply",
  };
  await using _lock = await lockFleet(path, { fleet: "shop", holder, lockFile, signal });
  const error = await t.throwsAsync(lockFleet(path, { fleet: "shop", holder, lockFile, signal }), {
    instanceOf: NexcageError,
    code: "LOCK_HELD",
  });
  t.regex(error?.message ?? "", /ann@laptop/);
  t.deepEqual(error?.details?.holder, holder);
});
