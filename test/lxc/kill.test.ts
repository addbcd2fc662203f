import { join } from "node:path";
import test from "ava";
import { commandsInside, tryInTurn } from "../../agent/backends/lxc/kill.ts";
import { OciState } from "../../shared/oci.ts";
import { dist } from "../dist.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { busyboxTemplate } from "../proxmox/nodes.ts";
import { makeProxmox, onHost, requireNothingToDo } from "./bed.ts";

test("inside a guest a signal is tried by /usr/bin/kill, /bin/kill and /bin/sh, in this order", (t) => {
  t.deepEqual(commandsInside("SIGTERM"), [
    ["/usr/bin/kill", "-s", "TERM", "1"],
    ["/bin/kill", "-s", "TERM", "1"],
    ["/bin/sh", "-c", "kill -s TERM 1"],
  ]);
  t.deepEqual(commandsInside("SIGRTMIN+3")[0], ["/usr/bin/kill", "-s", "37", "1"]);
});

const outcomes: { title: string; sent: boolean[]; stoppedAfter?: number; tried: string[] }[] = [
  { title: "the first way that has sent it is the last one", sent: [false, true, true], tried: ["1", "2"] },
  {
    title: "a way that says it failed has worked where the guest has stopped",
    sent: [false, false, true],
    stoppedAfter: 2,
    tried: ["1", "2"],
  },
];
for (const { title, sent, stoppedAfter = Number.POSITIVE_INFINITY, tried } of outcomes)
  test(title, async (t) => {
    const log: string[] = [];
    const attempts = sent.map((one, index) => ({
      way: String(index + 1),
      send: async () => ({ sent: one, result: "127" }),
    }));
    await tryInTurn(attempts, {
      what: "SIGTERM",
      hasStopped: () => log.length >= stoppedAfter,
      log: ({ way }) => log.push(way),
    });
    t.deepEqual(log, tried);
  });

test("a signal that no way has sent is a failure that names each of them", async (t) => {
  const attempts = ["one", "two"].map((way) => ({ way, send: async () => ({ sent: false, result: "127" }) }));
  await t.throwsAsync(
    tryInTurn(attempts, { what: "SIGTERM to container web", hasStopped: () => false, log: () => {} }),
    { message: "SIGTERM to container web could not be sent: one: 127; two: 127" },
  );
});

/** Waits on the host until the guest has stopped. */
const stopped = "for i in $(seq 100); do pct status 100 | grep stopped && exit; sleep 0.1; done";

proxmoxTest("kill signals the init by its host pid, and what has stopped needs no signal", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const agent = [join(dist, "nexcage-agent"), "--log-level", "debug", "--log-format", "json"];
  const run = async (...words: string[]) => await bed.host("pve1").exec([...agent, ...words]);
  const stateOf = async () => OciState.parse(JSON.parse((await run("state", "web")).stdout));
  t.is((await run("create", "--name", "web", "--image", busyboxTemplate, "--runtime", "lxc")).exitCode, 0);
  t.is((await run("kill", "-s", "TERM", "web")).exitCode, 0, "nor what was never started");
  t.like(await stateOf(), { status: "created" });
  t.is((await run("start", "web")).exitCode, 0);
  await onHost(bed, "pct exec 100 -- rm /bin/kill /bin/sh /bin/ash");
  const { pid } = await stateOf();
  const { exitCode, stderr } = await run("kill", "-s", "KILL", "web");
  t.is(exitCode, 0, stderr);
  const attempts = [...stderr.matchAll(/"way":"([^"]+)".*attempt to send a signal/g)];
  t.deepEqual(
    attempts.map(([, way]) => way),
    [`kill(2) of ${pid}`],
    "which an image without kill and sh cannot prevent",
  );
  t.like(await stateOf(), { status: "stopped", pid: 0 });
  t.is((await run("kill", "-s", "TERM", "web")).exitCode, 0);
});

proxmoxTest("from inside a guest a signal arrives by what its image has", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const inside = async (signal: string): Promise<string> =>
    await onHost(bed, `${process.execPath} ${join(import.meta.dirname, "kill-inside.ts")} 100 ${signal}`);
  await onHost(bed, `pct create 100 ${busyboxTemplate} --rootfs local:0.125 --unprivileged 1; pct start 100`);
  // Busybox's init halts for it, and may end the kill that asked it to.
  t.regex(
    await inside("SIGUSR1"),
    /^\/usr\/bin\/kill -s USR1 1: exit 127\n\/bin\/kill -s USR1 1: exit (0|137|143)$/,
  );
  t.is(await onHost(bed, stopped), "status: stopped");
  await onHost(bed, "pct start 100; pct exec 100 -- rm /bin/kill");
  t.regex(await inside("SIGUSR2"), /\/bin\/kill .*: exit 127\n\/bin\/sh -c kill -s USR2 1: exit (0|137|143)/);
  t.is(await onHost(bed, stopped), "status: stopped");
  await onHost(bed, "pct start 100; pct exec 100 -- rm /bin/sh /bin/ash");
  t.regex(await inside("SIGUSR2"), /SIGUSR2 could not be sent: (.*: exit 127; ){2}\/bin\/sh .*: exit 127$/);
  t.is(await onHost(bed, "pct status 100"), "status: running");
});

proxmoxTest("a signal that an init ignores is a failure that says so; others are only sent", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const deaf = {
    runtime: "lxc",
    rootfs: "./rootfs",
    host: "pve1",
    command: ["sleep", "1000"],
    proxmox: { rootfs_size: "128m" },
  };
  await bed.writeFleet({ deaf });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  const ignored = await bed.nexcage("fleet", "kill", "-s", "TERM", "deaf");
  t.is(ignored.exitCode, 1);
  t.regex(ignored.stdout, /SIGTERM was sent to container deaf, which still runs 2 s after it/);
  t.is((await bed.nexcage("fleet", "kill", "-s", "HUP", "deaf")).exitCode, 0);
  await requireNothingToDo(t, bed);
  t.is((await bed.nexcage("fleet", "kill", "-s", "KILL", "deaf")).exitCode, 0);
  t.regex((await bed.nexcage("fleet", "status")).stdout, /deaf +pve1 +running +stopped/);
});
