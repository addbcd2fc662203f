import test, { type ExecutionContext } from "ava";
import PQueue from "p-queue";
import { startHosts, type TestHost } from "../hosts/hosts.ts";
import { leftovers, look } from "./leftovers.ts";
import { type Direct, direct } from "./load.ts";
import { whyNoClients } from "./requirements.ts";
import { underTest } from "./runtimes.ts";

const reason = whyNoClients();
const minuteMs = 60_000;

function loadTest(title: string, body: (t: ExecutionContext, runtime: Direct) => Promise<void>): void {
  if (reason !== undefined) {
    test.skip(`${title} (${reason})`, () => {});
    return;
  }
  test.serial(title, async (t) => {
    t.timeout(10 * minuteMs);
    await using hosts = await startHosts({ names: ["loaded"] });
    const host = hosts.host("loaded");
    const runtime = await direct(host, underTest);
    const before = await settled(host, runtime);
    await body(t, runtime);
    t.deepEqual(await runtime.ids(), [], "no container is left");
    t.deepEqual(await leftovers(host, before), [], "nothing of them is left");
  });
}

/** What is there after a container's whole life: what a runtime makes once for all of them is no leftover. */
async function settled(host: TestHost, runtime: Direct): Promise<string[]> {
  await runtime.call(["create", "--bundle", runtime.bundle, "first"]);
  await runtime.call(["delete", "--force", "first"]);
  return await look(host);
}

loadTest("200 containers run at the same time, and nothing of them is left", async (t, runtime) => {
  const ids = Array.from({ length: 200 }, (_, index) => `web-${index}`);
  const queue = new PQueue({ concurrency: 8 });
  const each = async (args: (id: string) => string[]): Promise<void> => {
    const results = await queue.addAll(ids.map((id) => () => runtime.call(args(id))));
    t.deepEqual(
      results.filter(({ exitCode, stdout }) => exitCode !== 0 || stdout !== ""),
      [],
      `${args("ID").join(" ")} succeeds and says nothing`,
    );
  };
  await each((id) => ["create", "--bundle", runtime.bundle, id]);
  await each((id) => ["start", id]);
  t.deepEqual((await runtime.ids()).sort(), ids.toSorted());
  await each((id) => ["kill", id, "KILL"]);
  await each((id) => ["delete", "--force", id]);
});

loadTest("whenever the runtime is killed, its container can be used or deleted", async (t, runtime) => {
  const end = performance.now() + minuteMs;
  let lives = 0;
  const live = async (worker: number): Promise<void> => {
    for (let turn = 0; performance.now() < end; turn++, lives++) {
      const id = `web-${worker}-${turn}`;
      const steps = [
        ["create", "--bundle", runtime.bundle, id],
        ["start", id],
        ["exec", "--detach", id, "/bin/sleep", "1000"],
        ["pause", id],
        ["delete", "--force", id],
      ];
      // Every other call is cut, each time at another point: a whole one takes some 20 ms where nobody else works.
      for (const [step, args] of steps.entries())
        if ((worker + turn + step) % 2 === 0)
          await runtime.killed(args, 1 + ((7 * worker + 13 * turn + 17 * step) % 60));
        else await runtime.call(args);
      const last = await runtime.call(["delete", "--force", id]);
      t.is(last.exitCode, 0, `delete --force ${id}: ${last.stdout}`);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => live(worker)));
  t.log(`${lives} lives`);
  t.true(lives > 20);
});
