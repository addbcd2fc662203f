import type { TestFn } from "ava";
import type { Observed } from "../../shared/container.ts";
import { ContainerId } from "../../shared/ids.ts";
import { waitFor } from "../hosts/wait.ts";
import { type AgentHost, newOperation, type OciRuntimeName, onAgentHost, specsOf } from "./agent-host.ts";

/** What an agent does with containers of an OCI runtime, as their user sees it. */
export function hostTests(test: TestFn, runtime: OciRuntimeName): void {
  const hostTest = onAgentHost(test);
  const makeSpec = specsOf(runtime);
  const web = makeSpec("web");
  const { id } = web;

  const create = (spec = web) => ({ do: "create", spec, start: true, operationId: newOperation() }) as const;

  async function stateFile(agent: AgentHost): Promise<Observed["state"]> {
    return JSON.parse(await agent.shell(`cat /run/nexcage/${id}/state.json`));
  }

  /** Waits in the host until a command succeeds. */
  function until(condition: string): string {
    return `for i in $(seq 500); do ${condition} && exit 0; sleep 0.02; done; exit 1`;
  }

  hostTest("after a reboot a container is stopped, and starts again over its files", async (t, agent) => {
    const [made] = await agent.run(create());
    await agent.shell(`nsenter -t ${made?.container?.state.pid} -m sh -c 'echo kept >/data/file'`);
    await agent.host.reboot();
    const [found] = await agent.list();
    t.is(found?.state.status, "stopped");
    t.is(found?.state.pid, 0);
    t.is(found?.exit, undefined, "how it ended nobody knows");
    t.deepEqual(await stateFile(agent), found?.state, "the state file is there again");
    const [started] = await agent.run({ do: "start", id, operationId: newOperation() });
    const { state } = started?.container ?? {};
    t.is(state?.status, "running");
    t.is(await agent.shell(`nsenter -t ${state?.pid} -m cat /data/file`), "kept");
  });

  hostTest("an operation that a reboot cut off is undone, and can be asked for again", async (t, agent) => {
    const operation = create();
    await agent.run({ ...operation, killAt: "recording" });
    await agent.host.reboot();
    t.deepEqual(await agent.list(), []);
    const [made] = await agent.run(operation);
    t.is(made?.container?.state.status, "running");
  });

  hostTest(
    "the state file follows a container that dies, and an image's container keeps its exit",
    async (t, agent) => {
      const [made] = await agent.run(
        create(makeSpec("web", { command: ["/bin/sh", "-c", "sleep 0.3; exit 7"] })),
      );
      t.is(made?.container?.state.status, "running");
      t.deepEqual(await stateFile(agent), made?.container?.state);
      await agent.shell(until(`test -e /var/lib/nexcage/exits/${id}.json`));
      const [found] = await agent.list();
      t.is(found?.state.status, "stopped");
      t.is(found?.exit?.exitCode, 7);
      t.is(found?.state.annotations?.["io.nexcage.exit-code"], "7");
      t.deepEqual(await stateFile(agent), found?.state);
    },
  );

  hostTest("a pid that is another process's now is not taken for the container", async (t, agent) => {
    await agent.run(create());
    // As if the host's pids had gone round: the init's number, and somebody else's start time.
    const { file, field } = {
      crun: { file: "status", field: "process-start-time" },
      runc: { file: "state.json", field: "init_process_start" },
    }[runtime];
    await agent.shell(`sed -i 's/"${field}": *[0-9]*/"${field}": 1/' /run/nexcage/.${runtime}/${id}/${file}`);
    const [found] = await agent.list();
    t.is(found?.state.status, "stopped");
  });

  hostTest(
    "a container that ends at once is told as ended, with its exit and its last words",
    async (t, agent) => {
      await agent.run(create(makeSpec("web", { command: ["/bin/sh", "-c", "echo bad >&2; exit 3"] })));
      const ended = await waitFor(async () => (await agent.list()).find(({ exit }) => exit !== undefined), {
        what: "the container's end",
        timeoutMs: 10_000,
      });
      t.is(ended.state.status, "stopped");
      t.is(ended.exit?.exitCode, 3);
      const { stderr } = await agent.command("logs", id);
      t.is(stderr, "bad");
    },
  );

  hostTest(
    "a container that ignores its stop signal gets its grace period, then SIGKILL",
    async (t, agent) => {
      await agent.run(
        create(makeSpec("web", { command: ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"] })),
      );
      const begin = Date.now();
      const [stopped] = await agent.run({ do: "stop", id, gracePeriodMs: 700, operationId: newOperation() });
      t.true(Date.now() - begin >= 700);
      t.is(stopped?.container?.state.status, "stopped");
      t.is(stopped?.container?.exit?.signal, 9);
    },
  );

  hostTest("its stop signal may be one that has only a number", async (t, agent) => {
    const command = ["/bin/sh", "-c", "trap 'exit 5' 37; while :; do sleep 0.05; done"];
    await agent.run(create(makeSpec("web", { command, stopSignal: "SIGRTMIN+3" })));
    const [stopped] = await agent.run({ do: "stop", id, operationId: newOperation() });
    t.is(stopped?.container?.exit?.exitCode, 5);
  });

  hostTest("one that obeys is not killed, and its own exit code is kept", async (t, agent) => {
    await agent.run(create());
    const [stopped] = await agent.run({ do: "stop", id, operationId: newOperation() });
    t.is(stopped?.container?.exit?.exitCode, 0);
  });

  hostTest("restart asks it to end, and starts it over its files", async (t, agent) => {
    const [made] = await agent.run(create());
    await agent.shell(`nsenter -t ${made?.container?.state.pid} -m sh -c 'echo kept >/data/file'`);
    const { stderr, exitCode } = await agent.command("restart", id);
    t.is(exitCode, 0, stderr);
    const [found] = await agent.list();
    t.is(found?.state.status, "running");
    t.not(found?.state.pid, made?.container?.state.pid);
    t.is(await agent.shell(`nsenter -t ${found?.state.pid} -m cat /data/file`), "kept");
    t.is((await agent.command("logs", id)).stdout, "hello\nhello");
  });

  hostTest(
    "a container is paused and goes on, by resume or start; what has stopped can't",
    async (t, agent) => {
      const loop = "while :; do echo tick >>/data/ticks; sleep 0.02; done";
      const [made] = await agent.run(create(makeSpec("web", { command: ["/bin/sh", "-c", loop] })));
      const pid = made?.container?.state.pid;
      const ticks = async () =>
        Number(await agent.shell(`nsenter -t ${pid} -m wc -l </proc/${pid}/root/data/ticks`));
      for (const resume of ["resume", "start"]) {
        for (const _twice of [1, 2]) t.is((await agent.command("pause", id)).exitCode, 0);
        t.is((await stateFile(agent)).status, "paused");
        const frozenAt = await ticks();
        await agent.shell("sleep 0.2");
        t.is(await ticks(), frozenAt);
        t.is((await agent.command(resume, id)).exitCode, 0);
        t.like(await stateFile(agent), { status: "running", pid });
        await agent.shell(until(`test $(wc -l </proc/${pid}/root/data/ticks) -gt ${frozenAt}`));
      }
      const [, again] = await agent.run(
        { do: "pause", id, operationId: newOperation() },
        { do: "pause", id, operationId: newOperation() },
        { do: "restart", id, operationId: newOperation() },
      );
      t.is(again?.changed, false);
      const [found] = await agent.list();
      t.is(found?.state.status, "running", "a paused one restarts too");
      t.not(found?.state.pid, pid);
      await agent.run({ do: "stop", id, gracePeriodMs: 0, operationId: newOperation() });
      for (const change of ["pause", "resume"] as const) {
        const [refused] = await agent.run({ do: change, id, operationId: newOperation() });
        t.is(refused?.error?.code, "CONTAINER_NOT_RUNNING");
      }
    },
  );

  hostTest(
    "when its monitor is killed the container goes on, its output is read again, its exit code is lost",
    async (t, agent) => {
      const loop = "trap 'exit 5' TERM; while :; do echo tick; sleep 0.02; done";
      const [made] = await agent.run(create(makeSpec("web", { command: ["/bin/sh", "-c", loop] })));
      const pid = made?.container?.state.pid;
      await agent.shell("kill -KILL $(pidof nexcage-monitor)");
      const [found] = await agent.list();
      t.is(found?.state.status, "running");
      t.is(found?.state.pid, pid);
      t.is(found?.monitor, "lost");
      await agent.shell(until("pidof nexcage-monitor >/dev/null"));
      const lines = Number(await agent.shell(`wc -l </var/log/nexcage/${id}.log`));
      await agent.shell(until(`test $(wc -l </var/log/nexcage/${id}.log) -gt ${lines + 5}`));
      const [again] = await agent.list();
      t.is(again?.monitor, "lost", "a new reader does not bring back what the first would have known");
      const [stopped] = await agent.run({ do: "stop", id, operationId: newOperation() });
      t.is(stopped?.container?.state.status, "stopped");
      t.is(stopped?.container?.exit?.exitCode, undefined, "and none is made up");
      t.is(stopped?.container?.monitor, "lost");
    },
  );

  hostTest(
    "on a full disk create fails with DISK_FULL and leaves nothing; with space it works",
    async (t, agent) => {
      const { host } = agent;
      await agent.run({ do: "create", spec: makeSpec("keeper"), operationId: newOperation() });
      await agent.shell("mkdir -p /var/lib/nexcage/bundles");
      await host.mountSmall("/var/lib/nexcage/bundles", 64 * 1024);
      await agent.shell("dd if=/dev/zero of=/var/lib/nexcage/bundles/.fill bs=1k 2>/dev/null");
      const [failed] = await agent.run(create());
      t.is(failed?.error?.code, "DISK_FULL");
      t.regex(failed?.error?.hint ?? "", /df -h/);
      t.deepEqual(
        (await agent.list()).map((container) => container.id),
        [ContainerId.parse("keeper")],
      );
      t.is(
        await agent.shell(
          `ls -d /run/nexcage/${id} /run/nexcage/.${runtime}/${id} /var/lib/nexcage/bundles/${id} 2>/dev/null`,
        ),
        "",
      );
      await agent.shell("rm /var/lib/nexcage/bundles/.fill");
      const [made] = await agent.run(create());
      t.is(made?.container?.state.status, "running");
      await agent.clear();
      await agent.shell("umount /var/lib/nexcage/bundles");
    },
  );

  hostTest("on a disk without room for the journal nothing is begun", async (t, agent) => {
    await agent.shell("mkdir -p /var/lib/nexcage/journal");
    await agent.host.mountSmall("/var/lib/nexcage/journal", 4 * 1024);
    await agent.shell("dd if=/dev/zero of=/var/lib/nexcage/journal/fill bs=1k 2>/dev/null");
    const [failed] = await agent.run(create());
    t.is(failed?.error?.code, "DISK_FULL");
    t.deepEqual(await agent.list(), []);
    await agent.shell("umount /var/lib/nexcage/journal");
  });

  hostTest("two agents that get the same operation at once make one container", async (t, agent) => {
    const operation = create();
    const [[one], [other]] = await Promise.all([agent.run(operation), agent.run(operation)]);
    t.is(one?.container?.state.status, "running");
    t.deepEqual(one, other);
  });

  hostTest("agents that open at once after a crash settle it once, and none fails", async (t, agent) => {
    await agent.run({ ...create(), killAt: "starting" });
    const lists = await Promise.all(Array.from({ length: 4 }, () => agent.list()));
    for (const list of lists) t.true(list.length <= 1);
    t.deepEqual(await agent.list(), []);
  });

  hostTest(
    "a record that is corrupt is named, does not hide the others, and can be deleted by force",
    async (t, agent) => {
      await agent.run(create(), create(makeSpec("db")));
      await agent.shell(`echo '{"id":' >/var/lib/nexcage/containers/${id}.json`);
      const all = await agent.list();
      t.is(all.find((one) => one.id === ContainerId.parse("db"))?.state.status, "running");
      const [state] = await agent.run({ do: "state", id });
      t.is(state?.error?.code, "STATE_CORRUPT");
      t.regex(state?.error?.message ?? "", /containers\/web\.json/);
      const [deleted] = await agent.run({ do: "delete", id, force: true, operationId: newOperation() });
      t.deepEqual(deleted, { changed: true });
      t.deepEqual(
        (await agent.list()).map((one) => one.id),
        [ContainerId.parse("db")],
      );
    },
  );

  hostTest("a replacement that cannot be made leaves the old one running", async (t, agent) => {
    const [made] = await agent.run(create());
    const bad = makeSpec("web", { command: ["/no/such/program"] });
    const [failed] = await agent.run({ do: "replace", spec: bad, start: true, operationId: newOperation() });
    t.truthy(failed?.error);
    const [found] = await agent.list();
    t.is(found?.state.status, "running");
    t.deepEqual(found?.spec, web);
    t.not(found?.state.pid, 0);
    t.truthy(made);
  });

  hostTest(
    "limits change in place, the process goes on, and what is not said any more is taken off",
    async (t, agent) => {
      const limited = makeSpec("web", { resources: { memoryBytes: 64 * 1024 ** 2, pids: 50 } });
      const [made] = await agent.run(create(limited));
      const more = makeSpec("web", { resources: { memoryBytes: 96 * 1024 ** 2 } });
      const [updated] = await agent.run({ do: "update", spec: more, operationId: newOperation() });
      t.is(updated?.error, undefined);
      t.is(updated?.container?.state.pid, made?.container?.state.pid);
      const limit = (file: string) => agent.shell(`cat /sys/fs/cgroup/${file}`);
      t.is(await limit("memory/nexcage/web/memory.limit_in_bytes"), String(96 * 1024 ** 2));
      t.is(await limit("pids/nexcage/web/pids.max"), "max");
    },
  );
}
