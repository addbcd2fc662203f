import { join } from "node:path";
import test from "ava";
import { waitFor } from "../hosts/wait.ts";
import { type AgentHost, newOperation, onAgentHost, residentId, specsOf } from "./agent-host.ts";

const hostTest = onAgentHost(test);
const web = specsOf("runc")("web");
const program = "/usr/sbin/runc";

/** Puts a script in runc's place on this host alone; in it `$REAL` is runc itself. */
async function replaceRunc(agent: AgentHost, script: string): Promise<AsyncDisposable> {
  const real = join(agent.host.dir, "real-runc");
  const wrapper = join(agent.host.dir, "runc");
  await agent.shell(`cp ${program} ${real}
cat >${wrapper} <<'END'
#!/bin/sh
REAL=${real}
${script}
END
chmod 755 ${wrapper}; mount --bind ${wrapper} ${program}`);
  return {
    async [Symbol.asyncDispose]() {
      await agent.shell(`umount ${program}`);
    },
  };
}

const moments = {
  "when the init is there": "",
  "before runc has noted the init": "rm /run/nexcage/.runc/web/state.json;",
};
for (const [moment, cut] of Object.entries(moments))
  hostTest(
    `runc killed with all that waits for it, ${moment}: the next agent leaves nothing`,
    async (t, agent) => {
      await agent.run({ do: "create", spec: specsOf("runc")(residentId), operationId: newOperation() });
      const before = await agent.leftovers();
      const create = { do: "create", spec: web, start: true, operationId: newOperation() } as const;
      {
        await using _replaced = await replaceRunc(
          agent,
          `case " $* " in *" create "*) $REAL "$@" || exit; ${cut} touch /run/paused; sleep 1000 ;; *) exec $REAL "$@" ;; esac`,
        );
        const running = agent.run(create).catch(() => {});
        const isPaused = async () => (await agent.shell("ls /run/paused 2>/dev/null")) !== "" || undefined;
        await waitFor(isPaused, { what: "runc's create", timeoutMs: 20_000 });
        await agent.shell(
          "pkill -KILL -f '[p]rogram.cjs'; pkill -KILL nexcage-shim; pkill -KILL -f '[s]leep 1000|[r]unc --root'",
        );
        await running;
        await agent.shell("rm /run/paused");
      }
      t.deepEqual(
        (await agent.list()).map(({ id }) => id),
        [residentId],
      );
      t.is(await agent.leftovers(), before);
      const [made] = await agent.run(create);
      t.is(made?.container?.state.status, "running");
    },
  );

hostTest("a host without runc says so, and what to install", async (t, agent) => {
  await agent.shell("mount -t tmpfs none /usr/sbin");
  try {
    const [made] = await agent.run({ do: "create", spec: web, operationId: newOperation() });
    t.like(made?.error, {
      code: "BACKEND_UNAVAILABLE",
      message: "runc: there is no runc on this host",
      hint: "install it: apt-get install runc",
    });
    t.regex((await agent.command("doctor")).stdout, /backend runc: .*there is no runc on this host/);
  } finally {
    await agent.shell("umount /usr/sbin");
  }
});

hostTest("where libcrun cannot be loaded, runc's containers live all the same", async (t, agent) => {
  await agent.run({ do: "create", spec: web, start: true, operationId: newOperation() });
  const unsealed = async (...words: string[]) => {
    const { exitCode, stdout, stderr } = await agent.unsealedCommand(...words);
    t.is(exitCode, 0, `${words}: ${stderr}`);
    return stdout;
  };
  t.regex(await unsealed("doctor"), /backend crun: .*not started by its launcher/);
  t.is(await unsealed("exec", "web", "--", "echo", "inside"), "inside");
  await unsealed("restart", "web");
  t.regex(await unsealed("list"), /^web +\d+ +running/m);
  await unsealed("delete", "--force", "web");
  t.notRegex(await unsealed("list", "-q"), /web/);
});

hostTest("what runc refuses is told in its own words, in one line", async (t, agent) => {
  const spec = specsOf("runc")("web", { command: ["/no/such"] });
  const [made] = await agent.run({ do: "create", spec, operationId: newOperation() });
  t.like(made?.error, { code: "RUNTIME_FAILED" });
  t.regex(made?.error?.message ?? "", /^runc create: .*exec: "\/no\/such": .*no such file or directory$/);
});
