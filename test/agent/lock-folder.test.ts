import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { lockFileWith } from "../../agent/state/lock.ts";

const lockFile = lockFileWith(async () => true);
const signal = AbortSignal.timeout(60_000);

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-locks-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("locks are their owner's alone: whoever could open one could hold it", async (t) => {
  await inFolder(async (folder) => {
    const path = join(folder, "locks/container-web");
    await using lock = await lockFile(path, { wait: false, signal });
    t.truthy(lock);
    t.is((await stat(join(folder, "locks"))).mode & 0o777, 0o700);
    t.is((await stat(path)).mode & 0o777, 0o600);
  });
});

test("a folder that somebody else may write is not used, and a link in one's own is not followed", async (t) => {
  await inFolder(async (folder) => {
    const locks = join(folder, "locks");
    const victim = join(folder, "victim");
    await writeFile(victim, "theirs");
    await mkdir(locks);
    await symlink(victim, join(locks, "fleet-prod"));
    await t.throwsAsync(lockFile(join(locks, "fleet-prod"), { wait: false, signal }), { code: "ELOOP" });
    await chmod(locks, 0o777);
    await t.throwsAsync(lockFile(join(locks, "fleet-other"), { wait: false, signal }), {
      code: "STATE_CORRUPT",
      message: /or others may write there$/,
    });
    t.is(await readFile(victim, "utf8"), "theirs");
  });
});
