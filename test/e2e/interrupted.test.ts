import { setTimeout as sleep } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import { type Bed, makeBed } from "./bed.ts";
import { hostTest } from "./host-test.ts";

const count = 12;
const web = { command: ["sleep", "1000"], replicas: count, host: "node1" };

/** Starts an apply of many containers; resolves when the first of them has been made, with the rest under way. */
async function applyUntilFirst(bed: Bed) {
  const running = bed.start(["fleet", "apply"]);
  await said(running, "created in");
  return { running };
}

/** Resolves when a program has said this on stderr, or nothing more can come. */
async function said({ stderr }: ReturnType<Bed["start"]>, words: string): Promise<void> {
  await new Promise<void>((resolve) => {
    stderr.on("data", (text: Buffer) => {
      if (text.includes(words)) resolve();
    });
    stderr.on("end", resolve);
  });
}

async function requireEachOnce(t: ExecutionContext, bed: Bed): Promise<void> {
  const { stdout } = await bed.host("node1").exec(["ps", "-eo", "args"]);
  t.is(stdout.split("\n").filter((line) => line === "sleep 1000").length, count, "each container runs once");
  const again = await bed.nexcage("fleet", "plan", "--detailed-exitcode");
  t.is(again.exitCode, 0, again.stdout);
}

async function makeCrowd(): Promise<Bed> {
  const bed = await makeBed(["node1"]);
  await bed.writeFleet({ web });
  await bed.writeInventory({}, { concurrency: { host_parallel: 2 } });
  return bed;
}

hostTest(
  "an agent killed in the middle of an apply is started again, and the apply ends as if nothing had been",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeCrowd();
    const { running } = await applyUntilFirst(bed);
    await bed.host("node1").exec(["pkill", "-KILL", "-f", "serve --stdio"]);
    const { exitCode, stderr } = await running;
    t.is(exitCode, 0, String(stderr));
    t.regex(String(stderr), /node1: lost, trying again/);
    await requireEachOnce(t, bed);
  },
);

hostTest(
  "a link that is cut in the middle of an apply and comes back loses and doubles nothing",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeCrowd();
    const { running } = await applyUntilFirst(bed);
    await bed.host("node1").linkDown();
    await sleep(6_000); // longer than it takes both ends to notice
    await bed.host("node1").linkUp();
    const { exitCode, stderr } = await running;
    t.is(exitCode, 0, String(stderr));
    await requireEachOnce(t, bed);
  },
);

hostTest(
  "a controller killed in the middle of an apply leaves nothing half made: the next one finishes",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeCrowd();
    const { running } = await applyUntilFirst(bed);
    running.kill("SIGKILL");
    await running;
    const next = await bed.nexcage("fleet", "apply", "--lock-timeout", "30s");
    t.is(next.exitCode, 0, next.stderr + next.stdout);
    await requireEachOnce(t, bed);
  },
);

hostTest(
  "Ctrl-C ends an apply with 130; what was in flight has ended or is undone, and the next apply finishes",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeCrowd();
    const { running } = await applyUntilFirst(bed);
    running.kill("SIGINT");
    const { exitCode, stdout } = await running;
    t.is(exitCode, 130, String(stdout));
    t.regex(String(stdout), /skipped.*\(interrupted\)/s);
    const next = await bed.nexcage("fleet", "apply");
    t.is(next.exitCode, 0, next.stderr + next.stdout);
    await requireEachOnce(t, bed);
  },
);

hostTest(
  "of two controllers one works and the other is told who holds the lock, or waits for it",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeBed(["node1"]);
    const deaf = {
      command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
      stop_grace_period: "15s",
    };
    await bed.writeFleet({ deaf });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);

    const first = bed.start(["fleet", "stop", "deaf", "-v"]);
    await said(first, "deaf@node1: stopping");
    const third = bed.start(["fleet", "apply", "--lock-timeout", "60s"]);
    const second = await bed.nexcage("fleet", "apply");
    t.is(second.exitCode, 5, second.stderr + second.stdout);
    t.regex(second.stderr, new RegExp(`held by \\S+@\\S+ \\(pid ${first.pid}\\)`));
    t.is((await first).exitCode, 0);
    const waited = await third;
    t.is(waited.exitCode, 0, String(waited.stderr));
    t.regex(String(waited.stderr), /waiting for the lock/);
    t.regex(String(waited.stdout), /deaf +node1 +start +done/);
  },
);
