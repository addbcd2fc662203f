import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { serialHostTest } from "../e2e/host-test.ts";
import { startRelay } from "../ssh/relay.ts";
import { makeBuild } from "./builds.ts";

const agentPath = "/opt/nexcage/nexcage-agent";
const sleeper = { command: ["sleep", "1000"], stop_grace_period: "0s" };

type Row = {
  host: string;
  result: string;
  change?: string;
  before?: string;
  build: string;
  sentBytes: number;
  error?: { code: string; message: string; hint?: string };
};

async function makeBareBed(names = ["node1"]): Promise<Bed> {
  const bed = await makeBed(names);
  await bed.writeInventory({}, defaultsOf(bed));
  await bed.writeFleet({ web: { ...sleeper, mode: "global" } });
  return bed;
}

/** What `writeInventory` says of all hosts, with the agent where bootstrap puts it. */
function defaultsOf(bed: Bed, ssh: object = {}): object {
  const ours = {
    identity_file: join(bed.hosts.dir, "id_ed25519"),
    known_hosts: join(bed.hosts.dir, "known_hosts"),
  };
  return { ssh: { user: "root", ...ours, ...ssh }, agent: { path: agentPath } };
}

async function bootstrap(
  bed: Bed,
  ...args: string[]
): Promise<{ exitCode: number | undefined; hosts: Row[] }> {
  const { exitCode, stdout, stderr } = await bed.nexcage("fleet", "bootstrap", "-o", "json", ...args);
  if (stdout === "") throw new Error(stderr);
  return { exitCode, hosts: JSON.parse(stdout).hosts };
}

async function running(bed: Bed): Promise<string[]> {
  const { stdout } = await bed.nexcage("fleet", "status", "-o", "json");
  const rows: { id: string; host: string; state: { status: string; pid: number } }[] =
    JSON.parse(stdout).containers;
  return rows.map(({ id, host, state }) => `${id}@${host} ${state.status} ${state.pid}`);
}

async function versions(bed: Bed, host = "node1"): Promise<string[]> {
  const { stdout } = await bed.host(host).exec(["ls", "-A", "/opt/nexcage/versions"]);
  return stdout.trim().split("\n").filter(Boolean);
}

/** One bed and its folder of builds for several tests in a row costs less than one each. */
function ok(t: ExecutionContext, { exitCode, hosts }: { exitCode: number | undefined; hosts: Row[] }): Row {
  t.is(exitCode, 0, JSON.stringify(hosts));
  const [row] = hosts;
  if (row === undefined) throw new Error("no host");
  return row;
}

serialHostTest(
  "bare hosts get an agent, run a fleet, get a newer one, go back, and lose it again",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeBareBed(["node1", "node2", "node3"]);
    const before = await bed.nexcage("fleet", "plan");
    t.is(before.exitCode, 4);
    t.regex(
      before.stderr,
      /no agent at \/opt\/nexcage\/nexcage-agent.*\n.*hint: nexcage fleet bootstrap --limit node1/,
    );

    const checked = await bootstrap(bed, "--check");
    t.deepEqual(
      checked.hosts.map(({ change }) => change),
      ["install", "install", "install"],
    );
    t.deepEqual(await versions(bed), [], "--check did nothing");

    const first = await bed.nexcage("fleet", "bootstrap");
    t.is(first.exitCode, 0, first.stderr);
    t.is(first.stdout.match(/installed/g)?.length, 3, first.stdout);
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stderr + applied.stdout);
    const containers = await running(bed);
    t.is(containers.length, 3);

    const again = await bootstrap(bed);
    t.deepEqual(
      again.hosts.map(({ change, sentBytes }) => [change, sentBytes]),
      [
        ["none", 0],
        ["none", 0],
        ["none", 0],
      ],
      "nothing is sent when nothing changed",
    );

    const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
    const upgraded = await bootstrap(bed, "--agent", newer);
    const row = ok(t, upgraded);
    t.is(row.change, "upgrade");
    t.true(row.sentBytes < 3e6, `on the same Node ${row.sentBytes} bytes were sent`);
    t.deepEqual((await versions(bed)).sort(), [row.build, row.before ?? ""].sort(), "the old one stays");
    t.deepEqual(await running(bed), containers, "the containers have noticed nothing");

    const agents = await bed.nexcage("fleet", "agents");
    t.is(agents.exitCode, 0);
    t.regex(
      agents.stdout,
      new RegExp(`node1 +\\S+ +${row.build} +\\S+ +other build: nexcage fleet bootstrap`),
    );

    const back = await bootstrap(bed, "--rollback");
    t.is(ok(t, back).build, row.before ?? "");
    t.regex((await bed.nexcage("fleet", "agents")).stdout, new RegExp(`node3 .*${row.before} .*same`));
    t.is(ok(t, await bootstrap(bed, "--rollback")).build, row.build, "and forth again");
    const there = ok(t, await bootstrap(bed));
    t.deepEqual([there.change, there.sentBytes], ["upgrade", 0], "what is there already is not sent again");

    const refused = await bed.nexcage("fleet", "unbootstrap");
    t.is(refused.exitCode, 10, "without a terminal it needs --yes");
    const removed = await bed.nexcage("fleet", "unbootstrap", "--yes");
    t.is(removed.exitCode, 0, removed.stderr);
    const { stdout } = await bed.host("node1").exec(["sh", "-c", "ls -A /opt /opt/nexcage; pgrep -c sleep"]);
    t.is(stdout, "/opt:\n1", "no agent, and its container goes on");
    t.is((await bed.nexcage("fleet", "bootstrap")).exitCode, 0);
    t.deepEqual(await running(bed), containers, "the next agent finds them");
  },
);

serialHostTest("an agent that does not work on a host is not switched to", async (t) => {
  t.timeout(240_000);
  await using bed = await makeBareBed();
  const installed = ok(t, await bootstrap(bed));

  const broken = await bootstrap(
    bed,
    "--agent",
    await makeBuild(join(bed.folder, "broken"), { kind: "broken" }),
  );
  t.is(broken.exitCode, 1);
  t.is(broken.hosts[0]?.error?.code, "TRIAL_FAILED");
  t.regex(broken.hosts[0]?.error?.message ?? "", /does not start on node1: .*broken build/s);

  const sickBuild = await makeBuild(join(bed.folder, "sick"), { kind: "sick", failures: ["the moon"] });
  const sick = await bootstrap(bed, "--agent", sickBuild);
  t.is(sick.hosts[0]?.error?.code, "TRIAL_FAILED");
  t.regex(sick.hosts[0]?.error?.message ?? "", /the moon: the moon is missing/);
  t.regex(sick.hosts[0]?.error?.hint ?? "", /--force/);
  t.regex((await bed.nexcage("fleet", "agents")).stdout, new RegExp(installed.build), "the old one runs");

  const forced = ok(t, await bootstrap(bed, "--agent", sickBuild, "--force"));
  t.is(forced.change, "upgrade");
  t.is(ok(t, await bootstrap(bed)).build, installed.build);
});

serialHostTest(
  "what arrives otherwise than it was built is not installed, and what rots is sent anew",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeBareBed();
    const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
    const file = join(newer, "agent.deb");
    const archive = await readFile(file);
    const other = Buffer.from(archive);
    other.writeUInt8(other.readUInt8(other.length - 100) ^ 1, other.length - 100);
    await writeFile(file, other);
    const changed = await bootstrap(bed, "--agent", newer);
    t.like(changed.hosts[0]?.error, {
      code: "UPLOAD_FAILED",
      message: "node1: agent.deb is not as SHA256SUMS says",
    });
    t.deepEqual(await versions(bed), [], "nothing of it was unpacked");

    await writeFile(file, archive.subarray(0, archive.length / 2));
    const half = await bed.nexcage("fleet", "bootstrap", "--agent", newer);
    t.is(half.exitCode, 64);
    t.regex(
      half.stderr,
      /holds no build of the agent: agent\.deb has \d+ bytes, and not \d+ \[INVALID_FILE\]/,
    );
    await writeFile(file, archive);
    const sums = await readFile(join(newer, "SHA256SUMS"), "utf8");
    await writeFile(join(newer, "SHA256SUMS"), sums.replace("a", "b"));
    const lied = await bed.nexcage("fleet", "bootstrap", "--agent", newer);
    t.regex(lied.stderr, /SHA256SUMS is not that of \S+ \[INVALID_FILE\]/);

    const { build } = ok(t, await bootstrap(bed));
    const node = join(bed.host("node1").dir, "opt/nexcage/versions", build, "lib/nexcage/node");
    await writeFile(node, "half of it", { flag: "r+" });
    const mended = ok(t, await bootstrap(bed));
    t.true(mended.sentBytes > 10e6, "a Node that is damaged is no base for another build");
    t.is((await bed.nexcage("fleet", "agents")).exitCode, 0);
  },
);

serialHostTest("cut off in the middle, the old agent works, and the next bootstrap finishes", async (t) => {
  t.timeout(240_000);
  await using bed = await makeBareBed();
  const { build } = ok(t, await bootstrap(bed));
  const host = bed.host("node1");
  // A Node that is damaged has to be sent, which takes long enough to be cut off.
  await bed
    .host("node1")
    .exec(["sh", "-c", `echo x >>/opt/nexcage/versions/${build}/lib/nexcage/nexcage-agent.cache`]);
  const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
  // So that no try gets through: ten times as long as until it is cut.
  await using relay = await startRelay({ address: host.address, port: 22 }, { bytesPerSecond: 5e6 });
  const settings = { address: relay.address, host_key: host.hostKeyFingerprint, ssh: { port: relay.port } };
  await bed.writeInventory({ node1: settings }, defaultsOf(bed));
  for (let tries = 0; tries < 3; tries += 1) {
    const cut = bed.start(["fleet", "bootstrap", "--agent", newer]);
    cut.stderr?.on("data", (text: Buffer) => {
      if (text.includes("sending agent")) setTimeout(() => cut.kill("SIGKILL"), 300 * tries);
    });
    const { isTerminated, stderr, stdout } = await cut;
    t.true(isTerminated, `${stderr}${stdout}`);
    const agents = await bed.nexcage("fleet", "agents");
    t.regex(agents.stdout, new RegExp(build), "the old agent works");
  }
  await bed.writeInventory({}, defaultsOf(bed));
  const done = ok(t, await bootstrap(bed, "--agent", newer));
  t.is(done.change, "upgrade");
  const { stdout } = await host.exec(["ls", "-A", "/opt/nexcage"]);
  t.deepEqual(stdout.trim().split("\n"), [".links", "current", "nexcage-agent", "previous", "versions"]);
});

serialHostTest(
  "killed on the host at any point, an agent answers, and the next bootstrap finishes",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeBareBed();
    const host = bed.host("node1");
    const first = ok(t, await bootstrap(bed));
    const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
    const known = [first.build, JSON.parse(await readFile(join(newer, "build.json"), "utf8")).build];
    // Each try goes to the build that does not run; the kills are spread over all that one takes.
    const startedMs = performance.now();
    ok(t, await bootstrap(bed, "--agent", newer));
    const tookMs = performance.now() - startedMs;
    const outcomes = new Set<string>();
    for (let tries = 0; tries < 16; tries += 1) {
      const { stdout: target } = await host.exec(["readlink", "/opt/nexcage/current"]);
      const other = target.includes(first.build) ? ["--agent", newer] : [];
      const running = bootstrap(bed, ...other);
      await sleep((tookMs * (tries + 1)) / 16);
      await host.exec(["pkill", "-KILL", "-f", "nexcage-bootstrap"]);
      outcomes.add(String((await running).exitCode));
      const { exitCode, stdout } = await bed.nexcage("fleet", "agents", "-o", "json");
      t.is(exitCode, 0, stdout);
      t.true(known.includes(JSON.parse(stdout).hosts[0].build));
    }
    t.true(outcomes.size > 1, `some were cut off: exit codes ${[...outcomes]}`);
    ok(t, await bootstrap(bed));
    ok(t, await bootstrap(bed, "--agent", newer));
    t.is(ok(t, await bootstrap(bed, "--rollback")).build, first.build);
    t.deepEqual((await versions(bed)).sort(), known.sort());
    const { stdout } = await host.exec(["ls", "-A", "/opt/nexcage"]);
    t.deepEqual(stdout.split("\n"), [".links", "current", "nexcage-agent", "previous", "versions"]);
  },
);

serialHostTest("two at once: one installs, the other waits and finds nothing to do", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBareBed();
  const both = await Promise.all([bootstrap(bed), bootstrap(bed)]);
  t.deepEqual(both.map((one) => ok(t, one).change).sort(), ["install", "none"]);
});

serialHostTest("a link that goes silent in the middle does not keep the next one out", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBareBed();
  const host = bed.host("node1");
  await using relay = await startRelay({ address: host.address, port: 22 }, { bytesPerSecond: 5e6 });
  const settings = { address: relay.address, host_key: host.hostKeyFingerprint, ssh: { port: relay.port } };
  await bed.writeInventory({ node1: settings }, defaultsOf(bed));
  const cut = bed.start(["fleet", "bootstrap"]);
  const lock = "/run/nexcage-bootstrap.lock";
  let isOver = false;
  cut.finally(() => {
    isOver = true;
  });
  while (!isOver && !(await host.exec(["cat", lock])).stdout.startsWith("receiving")) await sleep(50);
  relay.cut();
  cut.kill("SIGKILL");
  await cut;
  await sleep(1_000); // what was on its way arrives
  t.regex((await host.exec(["cat", lock])).stdout, /^receiving/, "nobody has told the host");
  await bed.writeInventory({}, defaultsOf(bed));
  t.is(ok(t, await bootstrap(bed)).change, "install");
});

serialHostTest("an installation that works by itself is waited for, and then named", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBareBed();
  const host = bed.host("node1");
  const lock = "/run/nexcage-bootstrap.lock";
  const busy = host.exec([
    "flock",
    lock,
    "sh",
    "-c",
    `echo working $$ 2026-01-01T10:00:00Z >${lock}; sleep 20`,
  ]);
  while ((await host.exec(["test", "-s", lock])).exitCode !== 0) await sleep(50);
  const { exitCode, hosts } = await bootstrap(bed);
  t.is(exitCode, 5);
  t.is(hosts[0]?.error?.code, "LOCK_HELD");
  t.regex(
    hosts[0]?.error?.message ?? "",
    /^node1: another installation is at work there: pid \d+, since 2026-01-01T10:00:00Z$/,
  );
  t.is((await busy).exitCode, 0);
  t.is((await host.exec(["stat", "-c", "%a", lock])).stdout, "600", "nobody but root can hold it");
});

serialHostTest(
  "where there is no space nothing is sent; where the path is taken nothing is overwritten",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBareBed();
    const host = bed.host("node1");
    await host.mountSmall("/opt", 60e6);
    const full = await bootstrap(bed);
    t.like(full.hosts[0]?.error, { code: "DISK_FULL" });
    t.regex(full.hosts[0]?.error?.message ?? "", /node1 has \S+ MiB left in \/opt, and the agent needs/);
    await host.exec(["umount", "/opt"]);

    await host.exec(["mkdir", "-p", "/opt/nexcage"]);
    await host.exec(["tee", agentPath], { input: "mine" });
    const taken = await bootstrap(bed);
    t.is(taken.exitCode, 9);
    t.like(taken.hosts[0]?.error, {
      code: "REFUSED",
      message: `${agentPath} on node1 was not put there by fleet bootstrap`,
    });
    t.is((await host.exec(["cat", agentPath])).stdout, "mine");
  },
);

serialHostTest(
  "a path that somebody else has taken since is not rolled back over; an earlier path goes too",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBareBed();
    const host = bed.host("node1");
    ok(t, await bootstrap(bed));
    const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
    await bed.writeInventory({}, { ...defaultsOf(bed), agent: { path: "/opt/bin/nexcage-agent" } });
    ok(t, await bootstrap(bed, "--agent", newer));
    await host.exec(["rm", "/opt/bin/nexcage-agent"]);
    await host.exec(["tee", "/opt/bin/nexcage-agent"], { input: "mine" });
    const back = await bootstrap(bed, "--rollback");
    t.like(back.hosts[0]?.error, {
      code: "REFUSED",
      message: "node1: /opt/bin/nexcage-agent was not put there by fleet bootstrap",
    });
    t.is((await bed.nexcage("fleet", "unbootstrap", "-y")).exitCode, 0);
    const { stdout } = await host.exec(["find", "/opt", "-name", "nexcage*"]);
    t.is(
      stdout,
      "/opt/bin/nexcage-agent",
      "what is somebody else's stays, the link of the first path is gone",
    );
  },
);

serialHostTest(
  "an old agent that does not start is in no new one's way, and a warning is in nobody's",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeBareBed();
    const host = bed.host("node1");
    const { build } = ok(t, await bootstrap(bed));
    await host.exec(["mkdir", "-p", "/var/lib/nexcage/containers"]);
    await host.exec(["tee", "/var/lib/nexcage/containers/odd.json"], { input: "half of" });
    const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
    ok(t, await bootstrap(bed, "--agent", newer));
    await host.exec(["rm", "/var/lib/nexcage/containers/odd.json"]);
    ok(t, await bootstrap(bed));
    await host.exec(["chmod", "-x", `/opt/nexcage/versions/${build}/nexcage-agent`]);
    const sick = await makeBuild(join(bed.folder, "sick"), { kind: "sick", failures: ["the moon"] });
    t.is(ok(t, await bootstrap(bed, "--agent", sick)).change, "upgrade");
  },
);

serialHostTest("a host that trusts a key takes only builds that it has signed", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBareBed();
  const host = bed.host("node1");
  const newer = await makeBuild(join(bed.folder, "newer"), { kind: "newer" });
  const { execa } = await import("execa");
  const keygen = async (...args: string[]): Promise<void> => {
    await execa("ssh-keygen", ["-q", ...args], { cwd: bed.folder });
  };
  for (const name of ["ours", "theirs"]) await keygen("-t", "ed25519", "-N", "", "-f", name);
  const publicKey = (await readFile(join(bed.folder, "ours.pub"), "utf8")).split(" ").slice(0, 2).join(" ");
  await host.exec(["mkdir", "-p", "/etc/nexcage"]);
  await host.exec(["tee", "/etc/nexcage/allowed_signers"], {
    input: `nexcage namespaces="nexcage-agent" ${publicKey}\n`,
  });

  const unsigned = await bootstrap(bed, "--agent", newer);
  t.is(unsigned.exitCode, 9);
  t.like(unsigned.hosts[0]?.error, { code: "SIGNATURE_INVALID" });
  const sums = join(newer, "SHA256SUMS");
  await keygen("-Y", "sign", "-n", "nexcage-agent", "-f", "theirs", sums);
  t.like((await bootstrap(bed, "--agent", newer)).hosts[0]?.error, { code: "SIGNATURE_INVALID" });
  t.deepEqual(await versions(bed), []);
  await execa("rm", [`${sums}.sig`]);
  await keygen("-Y", "sign", "-n", "nexcage-agent", "-f", "ours", sums);
  const archive = await readFile(join(newer, "agent.deb"));
  const forged = Buffer.from(archive);
  forged.writeUInt8(forged.readUInt8(200) ^ 1, 200);
  await writeFile(join(newer, "agent.deb"), forged);
  t.like((await bootstrap(bed, "--agent", newer)).hosts[0]?.error, {
    message: "node1: agent.deb is not as SHA256SUMS says",
  });
  await writeFile(join(newer, "agent.deb"), archive);
  t.is(ok(t, await bootstrap(bed, "--agent", newer)).change, "install");
  const folder = "/opt/nexcage/versions";
  const modes = await host.exec(["find", folder, "(", "!", "-perm", "-a=r", "-o", "-perm", "/022", ")"]);
  t.is(modes.stdout, "", "all may run it, root alone may change it");
});

serialHostTest(
  "a user with sudo's password installs; then the rule and the key let the agent be run alone",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeBareBed();
    const host = bed.host("node1");
    await host.addUser("deploy", { sudo: "password", password: "hunter2" });
    await host.addUser("ci.bot", { sudo: "none" });
    const asUser = (user: string, ssh: object = {}) =>
      bed.writeInventory({}, { ...defaultsOf(bed, { user, ...ssh }), become: "sudo" });
    await asUser("deploy");
    const without = await bootstrap(bed);
    t.is(without.exitCode, 4);
    t.like(without.hosts[0]?.error, { code: "BECOME_FAILED" });
    t.regex(without.hosts[0]?.error?.hint ?? "", /NEXCAGE_BECOME_PASSWORD/);
    const env = { NEXCAGE_BECOME_PASSWORD: "hunter2" };
    const installed = await bed.start(["fleet", "bootstrap", "--with-sudo"], { env });
    t.is(installed.exitCode, 0, String(installed.stdout) + installed.stderr);
    t.regex(String(installed.stdout), /node1: wrote \/etc\/sudoers\.d\/nexcage-deploy/);
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0, "no password is wanted any more");
    const other = await host.exec(["su", "deploy", "-c", "sudo -n id"]);
    t.not(other.exitCode, 0, "the rule is for the agent alone");

    const bot = await bed.start(["fleet", "bootstrap", "--with-sudo=ci.bot", "--forced-command", "bot.pub"], {
      env,
    });
    t.is(bot.exitCode, 64, "there is no such key yet");
    const { execa } = await import("execa");
    await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "bot"], { cwd: bed.folder });
    const named = await bed.start(
      ["fleet", "bootstrap", "--with-sudo=ci.bot", "--forced-command", "bot.pub"],
      { env },
    );
    t.is(named.exitCode, 0, String(named.stdout) + named.stderr);
    const line = /^restrict,command=.*$/m.exec(String(named.stdout))?.[0] ?? "";
    t.regex(line, /^restrict,command="sudo -n -- \/opt\/nexcage\/nexcage-agent serve --stdio" ssh-ed25519 /);
    await host.exec(["tee", join(host.dir, "home/ci.bot/.ssh/authorized_keys")], { input: `${line}\n` });
    await asUser("ci.bot", { identity_file: "./bot" });
    await bed.writeFleet({
      web: { ...sleeper, host: "node1" },
      more: { ...sleeper, host: "node1", rootfs: "./rootfs" },
    });
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stdout + applied.stderr);
    const bound = await bootstrap(bed);
    t.is(bound.exitCode, 4);
    t.like(bound.hosts[0]?.error, { code: "AGENT_GARBAGE" });
    t.regex(bound.hosts[0]?.error?.hint ?? "", /authorized_keys/);

    await bed.writeInventory({}, defaultsOf(bed));
    t.is((await bed.nexcage("fleet", "unbootstrap", "-y")).exitCode, 0);
    const rules = await host.exec(["ls", "/etc/sudoers.d"]);
    t.notRegex(rules.stdout, /nexcage-/, "the rules are gone with it");
  },
);

serialHostTest("one who may not become root is told what is missing", async (t) => {
  await using bed = await makeBareBed();
  await bed.host("node1").addUser("guest", { sudo: "none" });
  await bed.writeInventory({}, defaultsOf(bed, { user: "guest" }));
  const { exitCode, hosts } = await bootstrap(bed);
  t.is(exitCode, 4);
  t.like(hosts[0]?.error, {
    code: "BECOME_FAILED",
    message: "node1: installing the agent needs root, and the login is guest",
    hint: "say become: sudo in the inventory, or ssh: {user: root}",
  });
  await bed.writeInventory({}, defaultsOf(bed));
  const needless = await bootstrap(bed, "--with-sudo");
  t.like(needless.hosts[0]?.error, { code: "USAGE" });
  t.deepEqual(await versions(bed), [], "it is told before anything is done");
  const root = await bed.nexcage("fleet", "bootstrap", "--with-sudo=Robert'); DROP");
  t.is(root.exitCode, 64);
  t.true((await stat(bed.folder)).isDirectory());
});
