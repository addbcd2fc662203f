import { setTimeout as sleep } from "node:timers/promises";
import { makeBed } from "./bed.ts";
import { hostTest } from "./host-test.ts";

const sleeper = { command: ["sleep", "1000"], stop_grace_period: "0s" };

hostTest("a host that was rebooted shows its containers stopped, and apply brings them back", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({ web: { command: ["sh", "-c", "echo kept >> /kept; exec sleep 1000"] } });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await bed.host("node1").reboot();
  t.regex((await bed.nexcage("fleet", "status")).stdout, /web +node1 +running +stopped/);
  const applied = await bed.nexcage("fleet", "apply");
  t.is(applied.exitCode, 0, applied.stderr + applied.stdout);
  t.regex(applied.stdout, /start/);
  const kept = await bed.nexcage("fleet", "exec", "web", "--", "cat", "/kept");
  t.is(kept.stdout, "kept\nkept", "its files were kept");
});

hostTest("a container that ignores its stop signal gets SIGKILL when its grace period is over", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({
    deaf: { command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], stop_grace_period: "2s" },
  });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  const startedMs = Date.now();
  const stopped = await bed.nexcage("fleet", "stop", "deaf");
  t.is(stopped.exitCode, 0, stopped.stderr);
  t.true(Date.now() - startedMs >= 2_000, "it had its grace period");
  t.regex(stopped.stdout, /stopped \(signal 9\)/);
});

hostTest("the monitor killed: the container goes on, and status says what is lost", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({ web: { command: ["sh", "-c", "while :; do echo tick; sleep 0.2; done"] } });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await bed.host("node1").exec(["pkill", "-KILL", "nexcage-monitor"]);
  const { stdout } = await bed.nexcage("fleet", "status");
  t.regex(stdout, /web +node1 +running +running .*its monitor was killed/);
  t.is((await bed.nexcage("fleet", "exec", "web", "--", "true")).exitCode, 0);
  await bed.nexcage("fleet", "stop", "web");
  t.regex((await bed.nexcage("fleet", "status")).stdout, /stopped \(nobody saw how\)/);
});

hostTest("a container that writes 1 GB goes on, and its log stays in its bound", async (t) => {
  t.timeout(240_000);
  await using bed = await makeBed(["node1"]);
  const oneGigabyte =
    "yes 0123456789abcdef0123456789abcdef | head -c 1073741824; echo; echo written; exec sleep 1000";
  await bed.writeFleet({ loud: { command: ["sh", "-c", oneGigabyte] } });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  const deadline = Date.now() + 200_000;
  let last = "";
  while (last !== "written" && Date.now() < deadline) {
    last = (await bed.nexcage("fleet", "logs", "--tail", "1", "loud")).stdout;
    await sleep(500);
  }
  t.is(last, "written");
  const { stdout } = await bed.host("node1").exec(["du", "-cb", "/var/log/nexcage"]);
  t.true(Number.parseInt(stdout.split("\n").at(-2) ?? "", 10) < 64 * 1024 * 1024, stdout);
  t.regex((await bed.nexcage("fleet", "status")).stdout, /loud +node1 +running +running/);
});

hostTest(
  "a full disk is told, leaves nothing half made, and is no trouble once there is space",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBed(["node1"]);
    await bed.writeFleet({ web: sleeper });
    const host = bed.host("node1");
    await host.mountSmall("/var/lib/nexcage", 1_000_000);
    const full = await bed.nexcage("fleet", "apply");
    t.not(full.exitCode, 0);
    t.regex(full.stdout, /DISK_FULL/);
    const left = await host.exec(["find", "/var/lib/nexcage", "-size", "+100k"]);
    t.is(left.stdout.trim(), "", "the upload is gone");
    await host.exec(["mount", "-o", "remount,size=50m", "/var/lib/nexcage"]);
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stderr + applied.stdout);
  },
);

hostTest("what no fleet owns is neither changed nor pruned", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({ web: sleeper });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await bed.writeFleet({ other: sleeper }, { name: "other", prune: true });
  t.is((await bed.nexcage("fleet", "apply", "--yes")).exitCode, 0);
  await bed.writeFleet({ web: { command: ["sleep", "5"] } }, { name: "other" });
  const taken = await bed.nexcage("fleet", "apply", "--yes");
  t.is(taken.exitCode, 9, taken.stdout);
  t.regex(taken.stderr, /web@node1 cannot be made: what is there belongs to fleet "shop"/);
  const { stdout } = await bed.host("node1").exec(["ps", "-eo", "args"]);
  t.is(stdout.split("\n").filter((line) => line === "sleep 1000").length, 2);
});
