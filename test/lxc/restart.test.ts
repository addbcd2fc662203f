import { OciState } from "../../shared/oci.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { goOn, killPaused, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo } from "./bed.ts";

proxmoxTest("a guest restarts with what was pending, is paused and goes on", async (t) => {
  t.timeout(240_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await bed.writeFleet({ db: guest() });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  const state = async () => OciState.parse(JSON.parse((await bed.nexcage("fleet", "state", "db")).stdout));
  const first = await state();
  await onHost(bed, "pct set 100 --features nesting=1");
  t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /pve:pending/);

  const restarted = await bed.nexcage("fleet", "restart", "db");
  t.is(restarted.exitCode, 0, restarted.stdout + restarted.stderr);
  t.regex(restarted.stdout, /db +.*restart +done/);
  const second = await state();
  t.is(second.status, "running");
  t.not(second.pid, first.pid);
  t.notRegex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /pve:pending/);

  const freezer =
    "cat /sys/fs/cgroup/lxc/100/cgroup.freeze /sys/fs/cgroup/freezer/lxc/100/freezer.state 2>/dev/null";
  t.is((await bed.nexcage("fleet", "pause", "db")).exitCode, 0);
  t.is((await state()).status, "paused");
  t.regex(await onHost(bed, freezer), /^(1|FROZEN)$/m);
  t.is((await bed.nexcage("fleet", "resume", "db")).exitCode, 0);
  t.like(await state(), { status: "running", pid: second.pid });
  t.regex(await onHost(bed, freezer), /^(0|THAWED)$/m);

  // Stopped, and not started yet, when all that would start it is killed.
  await turnKnobs(host, { pauseAt: ["start.early"] });
  const running = bed.start(["fleet", "restart", "db"]);
  const paused = await waitForPause(host, "start.early");
  await turnKnobs(host, {});
  await host.exec(["pkill", "-KILL", "-f", "serve --stdio"]);
  await killPaused(host, paused, "both");
  await goOn(host, "start.early");
  const { exitCode, stdout, stderr } = await running;
  t.is(exitCode, 0, stdout + stderr);
  const third = await state();
  t.is(third.status, "running");
  t.not(third.pid, second.pid);
});

proxmoxTest(
  "a paused guest stays so when it changes in place; what takes a restart resumes it, and leaves nothing pending",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ db: guest({ resources: { memory: "64m" } }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    const state = async () => OciState.parse(JSON.parse((await bed.nexcage("fleet", "state", "db")).stdout));
    const { pid } = await state();
    t.is((await bed.nexcage("fleet", "pause", "db")).exitCode, 0);

    await bed.writeFleet({ db: guest({ resources: { memory: "96m" } }) });
    const hot = await bed.nexcage("fleet", "apply");
    t.is(hot.exitCode, 0, hot.stdout + hot.stderr);
    t.like(await state(), { status: "paused", pid });

    await bed.writeFleet({ db: guest({ resources: { memory: "96m" }, hostname: "other" }) });
    t.regex(
      (await bed.nexcage("fleet", "plan")).stdout,
      /hostname changed, and it is paused: afterwards it runs/,
    );
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stdout + applied.stderr);
    const now = await state();
    t.is(now.status, "running");
    t.not(now.pid, pid);
    t.notRegex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /pve:pending/);
    t.is(await onHost(bed, "pct exec 100 -- hostname"), "other");
    await requireNothingToDo(t, bed);
  },
);
