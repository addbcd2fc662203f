// Tasks, locks, and what is left when pct or its worker is killed, as recorded.
import { waitFor } from "../hosts/wait.ts";
import { haveNode, host, must, nodeTest, pct, shell } from "./node-test.ts";
import { busyboxTemplate, goOn, killPaused, type Stage, turnKnobs, waitForPause } from "./nodes.ts";

haveNode(async () => {
  await must("pct", "create", "100", busyboxTemplate, "--rootfs", "local:0.1");
});

/** Runs pct until it is at the stage, and gives back who waits there and its end. */
async function runUntil(stage: Stage, ...args: string[]) {
  await turnKnobs(host, { pauseAt: [stage] });
  const end = pct(...args);
  const paused = await waitForPause(host, stage);
  await turnKnobs(host, {});
  return { paused, end };
}

async function waitUntil(what: string, ask: () => Promise<boolean>): Promise<void> {
  await waitFor(async () => (await ask()) || undefined, { what, timeoutMs: 15_000 });
}

nodeTest(
  "a task has a UPID, a log with its end, a line in active and two in the cluster's log",
  async (t) => {
    await must("pct", "start", "100");
    await must("pct", "stop", "100");
    const [last = "", first = ""] = (await shell("cat /var/log/pve/tasks/active")).split("\n");
    const pattern =
      /^(UPID:pve1:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{7}([0-9A-F]):vz(?:start|stop):100:root@pam:) 1 [0-9A-F]{8} OK$/;
    t.regex(last, pattern);
    t.regex(first, pattern);
    const [, upid = "", digit = ""] = pattern.exec(last) ?? [];
    t.is(await shell(`cat '/var/log/pve/tasks/${digit}/${upid}'`), "TASK OK");
    const log: { data: { msg: string }[] } = JSON.parse(await shell("cat /etc/pve/.clusterlog"));
    t.deepEqual(
      log.data.slice(0, 2).map(({ msg }) => msg),
      [`end task ${upid} OK`, `starting task ${upid}`],
    );
    const status = await shell(`pvesh get /nodes/pve1/tasks/${upid}/status --output-format json`);
    t.like(JSON.parse(status), { status: "stopped", exitstatus: "OK", type: "vzstop", id: "100" });
  },
);

nodeTest(
  "create killed with its worker at an unpacking leaves lock, volume, mount and loop device",
  async (t) => {
    const { paused, end } = await runUntil(
      "create.unpacking",
      "create",
      "300",
      busyboxTemplate,
      "--rootfs",
      "local:0.1",
    );
    t.not(paused.worker, paused.pct);
    await killPaused(host, paused, "both");
    await end;
    t.is(await shell("cat /etc/pve/lxc/300.conf"), "lock: create");
    t.regex(await shell("cat /proc/mounts"), / \/var\/lib\/lxc\/300\/rootfs /);
    t.is((await pct("create", "300", busyboxTemplate)).stderr, "CT 300 already exists on node 'pve1'");
    t.is((await pct("destroy", "300", "--force")).stderr, "CT is locked (create)");
    t.is(await must("pct", "status", "300"), "status: stopped");

    await shell("umount -R /var/lib/lxc/300/rootfs");
    await must("pct", "unlock", "300");
    await must("pct", "destroy", "300", "--destroy-unreferenced-disks", "1", "--purge", "1");
    t.is(
      await shell("ls /etc/pve/lxc/ /var/lib/vz/images; losetup --noheadings --list | grep vm-300"),
      "/etc/pve/lxc/:\n100.conf\n\n/var/lib/vz/images:\n100",
    );
  },
);

nodeTest("create whose pct alone is killed dies at its next line, and undoes nothing", async (t) => {
  const { paused, end } = await runUntil(
    "create.volume",
    "create",
    "300",
    busyboxTemplate,
    "--rootfs",
    "local:0.1",
  );
  await killPaused(host, paused, "pct");
  await end;
  await goOn(host, "create.volume");
  await waitUntil("the worker's end", async () => (await shell(`ls -d /proc/${paused.worker}`)) === "");
  t.is(await shell("cat /etc/pve/lxc/300.conf"), "lock: create");
  t.is(await shell("ls /var/lib/vz/images/300"), "vm-300-disk-0.raw");
  await shell("umount -R /var/lib/lxc/300/rootfs");
  await must("pct", "unlock", "300");
  await must("pct", "destroy", "300");
  t.is(await shell("ls /var/lib/vz/images/300"), "vm-300-disk-0.raw", "an orphan: the conf did not name it");
  t.is(await shell("pvesm free local:300/vm-300-disk-0.raw"), "Removed volume 'local:300/vm-300-disk-0.raw'");
});

nodeTest("create that gets TERM undoes what it did", async (t) => {
  const { paused, end } = await runUntil(
    "create.unpacking",
    "create",
    "300",
    busyboxTemplate,
    "--rootfs",
    "local:0.1",
  );
  await shell(`kill -TERM ${paused.pct}`);
  const { exitCode, stderr } = await end;
  t.is(exitCode, 255);
  t.regex(stderr, /^unable to create CT 300 - (.*: )?received interrupt$/);
  t.is(
    await shell("ls /etc/pve/lxc/ /var/lib/vz/images; grep lxc/300 /proc/mounts"),
    "/etc/pve/lxc/:\n100.conf\n\n/var/lib/vz/images:\n100",
  );
});

nodeTest("start whose pct is killed starts all the same", async (t) => {
  const { paused, end } = await runUntil("start.early", "start", "100");
  await killPaused(host, paused, "pct");
  await end;
  await goOn(host, "start.early");
  await waitUntil("the start", async () => (await must("pct", "status", "100")) === "status: running");
  t.is((await pct("start", "100")).stderr, "CT 100 already running");
});

nodeTest(
  "while a shutdown waits it has the flock: stop gives up after 10 s, reading verbs answer",
  async (t) => {
    const { paused, end } = await runUntil("shutdown.waiting", "shutdown", "100");
    await killPaused(host, paused, "pct");
    await end;
    t.is(await must("pct", "status", "100"), "status: running");
    const before = performance.now();
    const { exitCode, stdout, stderr } = await pct("stop", "100");
    t.true(performance.now() - before > 10_000);
    t.is(exitCode, 255);
    t.is(stdout, "trying to acquire lock...");
    t.is(stderr, "can't lock file '/run/lock/lxc/pve-config-100.lock' - got timeout");
    const overruled = await pct("stop", "100", "--overrule-shutdown", "1");
    t.is(overruled.exitCode, 0);
    t.regex(overruled.stdout, /^overruled vzshutdown tasks: UPID:pve1:.*:vzshutdown:100:root@pam:$/m);
    t.is(await must("pct", "status", "100"), "status: stopped");
  },
);

nodeTest("a set that makes a volume and is killed leaves an orphan, which rescan finds", async (t) => {
  await turnKnobs(host, { pauseAt: ["set.volume"] });
  const end = pct("set", "100", "--mp0", "local:0.1,mp=/data");
  const paused = await waitForPause(host, "set.volume");
  await turnKnobs(host, {});
  await shell(`kill -9 ${paused.worker}`);
  await end;
  t.notRegex(await shell("cat /etc/pve/lxc/100.conf"), /mp0/);
  await must("pct", "rescan", "--vmid", "100");
  t.regex(await shell("cat /etc/pve/lxc/100.conf"), /^unused0: local:100\/vm-100-disk-1\.raw$/m);
});

nodeTest(
  "destroy killed after the volumes leaves the conf unlocked, and destroy again ends it",
  async (t) => {
    const { paused, end } = await runUntil("destroy.volumes", "destroy", "100");
    await killPaused(host, paused, "both");
    await end;
    t.notRegex(await shell("cat /etc/pve/lxc/100.conf"), /lock/);
    t.is((await pct("start", "100")).exitCode, 255);
    const { exitCode, stdout } = await pct("destroy", "100");
    t.is(exitCode, 0);
    t.true(stdout.includes("disk image '/var/lib/vz/images/100/vm-100-disk-0.raw' does not exist"));
    t.is(await shell("pct list; ls /etc/pve/lxc/"), "");
  },
);

nodeTest("two creates of one VMID: one makes it, the other is told that it exists", async (t) => {
  const create = () => pct("create", "201", busyboxTemplate, "--rootfs", "local:0.1");
  const results = await Promise.all([create(), create()]);
  t.deepEqual(results.map(({ exitCode }) => exitCode === 0).sort(), [false, true]);
  const loser = results.find(({ exitCode }) => exitCode !== 0);
  t.regex(loser?.stderr ?? "", /^(unable to create CT 201 - )?CT 201 already exists on node 'pve1'$/m);
});
