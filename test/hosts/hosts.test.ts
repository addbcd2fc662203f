import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { parseHierarchies } from "./cgroups.ts";
import { startHosts, type TestHost, type TestHosts, whyNoHosts } from "./hosts.ts";
import { addressIn, isInSubnet, runName } from "./network.ts";
import { identify } from "./processes.ts";
import { listRuns, recordsDir } from "./runs.ts";

const reason = whyNoHosts();
const hostsTest = reason === undefined ? test.serial : test.skip;
if (reason !== undefined)
  test("test hosts are skipped where the machine cannot have them", (t) => {
    t.log(reason);
    t.pass();
  });

const timeout = 20_000;

test("a run's number gives it a subnet that no other number has", (t) => {
  t.is(addressIn(0, 1), "10.128.0.1");
  t.is(addressIn(8191, 1022), "10.255.255.254");
  t.true(isInSubnet(1, "10.128.7.255"));
  t.false(isInSubnet(1, "10.128.8.0"));
});

test("hierarchies are found where the machine has mounted them, named and joint ones too", (t) => {
  const mountinfo = [
    "30 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755",
    "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct",
    "39 30 0:36 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
    "40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
  ].join("\n");
  t.deepEqual(parseHierarchies(mountinfo), [
    { type: "cgroup", options: "cpu,cpuacct", mountPoint: "/sys/fs/cgroup/cpu,cpuacct" },
    { type: "cgroup", options: "none,name=systemd", mountPoint: "/sys/fs/cgroup/systemd" },
  ]);
  t.deepEqual(parseHierarchies("30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"), [
    { type: "cgroup2", options: "defaults", mountPoint: "/sys/fs/cgroup" },
  ]);
});

hostsTest("each host is a machine of its own behind a real sshd", async (t) => {
  await using running = await startHosts({ names: ["pve1", "pve2"] });
  const pve1 = running.host("pve1");
  t.is((await ssh(running, pve1, "hostname")).stdout, "pve1");
  t.is((await ssh(running, running.host("pve2"), "hostname")).stdout, "pve2");
  t.not(hostname(), "pve1");
  t.is((await ssh(running, pve1, "ls /sys/class/net")).stdout, "eth0\nlo");
  t.is((await ssh(running, pve1, "cat /proc/1/comm")).stdout, "catatonit");

  await pve1.exec(["touch", "/run/mine", "/var/lib/nexcage/mine", "/etc/mine", "/var/log/nexcage/mine"]);
  const seen = await ssh(
    running,
    running.host("pve2"),
    "ls -d /run/mine /var/lib/nexcage/mine /etc/mine /var/log/nexcage/mine",
  );
  t.is(seen.stdout, "", "nothing of it is on the other host");
  t.false(existsSync("/etc/mine"), "nor on the machine");
  t.is(
    (await ssh(running, pve1, `cat ${import.meta.filename}`)).stdout,
    (await readFile(import.meta.filename, "utf8")).trimEnd(),
  );
});

hostsTest("the host key is the announced one, and another one is refused", async (t) => {
  await using running = await startHosts({ names: ["a", "b"] });
  const [a, b] = [running.host("a"), running.host("b")];
  const { stdout } = await execa("ssh-keyscan", ["-t", "ed25519", a.address], { timeout });
  t.is(stdout, a.knownHostsLine);
  t.is(
    (await execa("ssh-keygen", ["-lf", "-"], { input: stdout })).stdout.split(" ")[1],
    a.hostKeyFingerprint,
  );
  const wrong = join(running.dir, "wrong");
  await writeFile(wrong, a.knownHostsLine.replace(a.address, b.address));
  const refused = await ssh(running, b, "true", ["-o", `UserKnownHostsFile=${wrong}`]);
  t.is(refused.exitCode, 255);
  t.regex(refused.stderr, /Host key verification failed/);
});

hostsTest("one host reaches the other by name, as through a jump host", async (t) => {
  await using running = await startHosts({ names: ["jump", "target"] });
  const answer = await running.host("jump").exec(["ssh-keyscan", "-t", "ed25519", "target"]);
  t.is(answer.stdout.split(" ")[2], running.host("target").knownHostsLine.split(" ")[2]);
});

hostsTest("containers with limits start inside, and one id on two hosts does not meet", async (t) => {
  await using running = await startHosts({ names: ["pve1", "pve2"] });
  const bundle = await makeBundle(join(running.dir, "bundle"));
  for (const host of running.hosts) {
    await runContainer(t, running, host, bundle);
    t.like(JSON.parse((await ssh(running, host, "crun state web")).stdout), { id: "web", status: "running" });
  }
  const [pve1, pve2] = [running.host("pve1"), running.host("pve2")];
  for (const host of [pve1, pve2]) {
    const memory = host.cgroupPaths().find((path) => path.includes("/memory/"));
    t.is(await readFile(join(memory ?? "", "web/memory.limit_in_bytes"), "utf8"), `${16 * 1024 * 1024}\n`);
  }
  t.is((await ssh(running, pve1, "crun delete --force web")).exitCode, 0);
  t.is((await ssh(running, pve1, "crun state web")).exitCode, 1);
  t.like(JSON.parse((await ssh(running, pve2, "crun state web")).stdout), { status: "running" });
});

hostsTest("a pulled cable cuts a host off, and it is there again once plugged in", async (t) => {
  await using running = await startHosts({ count: 1 });
  const [host] = running.hosts;
  if (host === undefined) return t.fail();
  await host.linkDown();
  t.is(await connects(host, 300), false);
  await host.linkUp();
  t.is(await connects(host, 2_000), true);
  t.is((await ssh(running, host, "hostname")).stdout, "host1");
});

hostsTest(
  "a reboot ends all processes and empties /run, and keeps /var, /etc, name and address",
  async (t) => {
    await using running = await startHosts({ count: 1 });
    const [host] = running.hosts;
    if (host === undefined) return t.fail();
    const bundle = await makeBundle(join(running.dir, "bundle"));
    await host.exec(["touch", "/run/gone", "/var/lib/nexcage/kept", "/etc/kept"]);
    await runContainer(t, running, host, bundle);
    const before = await host.pids();
    t.true(before.length >= 3, "first process, sshd and the container's init");

    await host.reboot();
    for (const pid of before) t.is(await identify(pid), undefined);
    const { stdout } = await ssh(
      running,
      host,
      "hostname; ls -d /run/gone /run/crun/web /var/lib/nexcage/kept /etc/kept",
    );
    t.deepEqual(stdout.split("\n").sort(), ["/etc/kept", "/var/lib/nexcage/kept", "host1"]);
    t.deepEqual(await subfolders(host.cgroupPaths()), [], "the container's cgroups");
  },
);

hostsTest("a small file system fills up, and only there", async (t) => {
  await using running = await startHosts({ count: 1 });
  const [host] = running.hosts;
  if (host === undefined) return t.fail();
  await host.mountSmall("/var/lib/nexcage", 1024 * 1024);
  const full = await ssh(running, host, "head -c 2000000 /dev/zero > /var/lib/nexcage/big");
  t.regex(full.stderr, /No space left on device/);
  t.is((await ssh(running, host, "rm /var/lib/nexcage/big && touch /var/lib/nexcage/small")).exitCode, 0);
});

hostsTest("users log in with the same key, and sudo asks as it was told", async (t) => {
  await using running = await startHosts({ count: 1 });
  const [host] = running.hosts;
  if (host === undefined) return t.fail();
  await host.addUser("plain", { sudo: "none" });
  await host.addUser("ops", { sudo: "nopasswd" });
  await host.addUser("careful", { sudo: "password", password: "open sesame" });
  const as = (user: string, command: string, input = "") => ssh(running, host, command, ["-l", user], input);
  t.is((await as("plain", "id -un")).stdout, "plain");
  t.is((await as("plain", "sudo -n id -u")).exitCode, 1);
  t.is((await as("ops", "sudo -n id -u")).stdout, "0");
  t.regex((await as("careful", "sudo -n id -u")).stderr, /a password is required/);
  t.is((await as("careful", "sudo -k -S -p '' id -u", "open sesame\n")).stdout, "0");
});

hostsTest("stopped hosts leave no process, cgroup, network device, record or file", async (t) => {
  await using running = await startHosts({ count: 2 });
  const bundle = await makeBundle(join(running.dir, "bundle"));
  const [host] = running.hosts;
  if (host === undefined) return t.fail();
  await runContainer(t, running, host, bundle);
  const freezer = host.cgroupPaths().find((path) => path.includes("/freezer/"));
  await writeFile(join(freezer ?? "", "web/freezer.state"), "FROZEN");
  const traces = await tracesOf(running);
  t.true((await present(traces)).length > 10);
  await running.stop();
  t.deepEqual(await present(traces), []);
});

hostsTest("hosts whose owner was killed are removed by the next start", async (t) => {
  const program = join(import.meta.dirname, "main.ts");
  const owner = spawn(process.execPath, [program, "up", "2"], { stdio: ["ignore", "pipe", "inherit"] });
  await once(owner.stdout, "data");
  const [run] = (await listRuns()).filter((each) => each.owner.pid === owner.pid);
  if (run === undefined) return t.fail("no record of the run");
  const pids = await Promise.all(run.cgroups.map((cgroup) => readdir(cgroup)));
  t.true(pids.flat().includes("host2"));
  owner.kill("SIGKILL");
  await once(owner, "exit");

  await using _next = await startHosts({ count: 1 });
  t.false(existsSync(run.dir));
  t.false(existsSync(`/sys/class/net/${runName(run.id)}`));
  for (const cgroup of run.cgroups) t.false(existsSync(cgroup), cgroup);
  t.deepEqual(
    (await listRuns()).filter(({ id }) => id === run.id),
    [],
  );
});

hostsTest("two runs at once have networks and folders of their own", async (t) => {
  const [one, two] = await Promise.all([startHosts({ count: 1 }), startHosts({ count: 1 })]);
  await using _one = one;
  await using _two = two;
  t.not(one.dir, two.dir);
  t.not(one.host("host1").address, two.host("host1").address);
  t.is((await ssh(one, one.host("host1"), "hostname")).exitCode, 0);
  t.is((await ssh(two, two.host("host1"), "hostname")).exitCode, 0);
});

hostsTest("a folder that is there already is neither used nor removed", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "nexcage-"));
  await t.throwsAsync(startHosts({ count: 1, dir }), { message: `${dir} exists already` });
  t.true(existsSync(dir));
  await rmdir(dir);
});

async function ssh(running: TestHosts, host: TestHost, command: string, options: string[] = [], input = "") {
  const args = ["-F", join(running.dir, "ssh_config"), "-o", "BatchMode=yes", ...options, host.name, command];
  return await execa("ssh", args, { input, reject: false, timeout });
}

/** Debian's crun over ssh; what the container keeps open must not be the session's, or ssh would not end. */
async function runContainer(t: ExecutionContext, running: TestHosts, host: TestHost, bundle: string) {
  const command = `crun run --detach --bundle ${bundle} web </dev/null >/run/crun.out 2>&1`;
  const { exitCode } = await ssh(running, host, command);
  t.is(exitCode, 0, (await ssh(running, host, "cat /run/crun.out")).stdout);
}

async function connects(host: TestHost, timeoutMs: number): Promise<boolean> {
  const socket = connect({ host: host.address, port: host.port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(timeoutMs) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** An OCI bundle whose container sleeps, with limits of memory and pids. */
async function makeBundle(bundle: string): Promise<string> {
  for (const folder of ["bin", "dev", "proc"])
    await mkdir(join(bundle, "rootfs", folder), { recursive: true });
  await copyFile("/usr/bin/busybox", join(bundle, "rootfs/bin/busybox"));
  const config = {
    ociVersion: "1.0.0",
    process: { user: { uid: 0, gid: 0 }, args: ["/bin/busybox", "sleep", "1000"], cwd: "/", env: [] },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
    ],
    linux: {
      cgroupsPath: "/web",
      namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
      resources: { memory: { limit: 16 * 1024 * 1024 }, pids: { limit: 20 } },
    },
  };
  await writeFile(join(bundle, "config.json"), JSON.stringify(config));
  return bundle;
}

type Traces = { paths: string[]; pids: number[] };

/** What a run has made on the machine. */
async function tracesOf(running: TestHosts): Promise<Traces> {
  const [run] = (await listRuns()).filter(({ dir }) => dir === running.dir);
  const devices = (await readdir("/sys/class/net")).filter((name) =>
    name.startsWith(`${runName(run?.id ?? 0)}`),
  );
  return {
    paths: [
      running.dir,
      join(recordsDir, `${run?.id}.json`),
      ...devices.map((name) => `/sys/class/net/${name}`),
      ...(run?.cgroups ?? []),
    ],
    pids: (await Promise.all(running.hosts.map((host) => host.pids()))).flat(),
  };
}

async function present({ paths, pids }: Traces): Promise<(string | number)[]> {
  const processes = await Promise.all(pids.map(identify));
  return [...paths.filter((path) => existsSync(path)), ...processes.flatMap((found) => found?.pid ?? [])];
}

async function subfolders(folders: string[]): Promise<string[]> {
  const entries = await Promise.all(folders.map((folder) => readdir(folder, { withFileTypes: true })));
  return entries
    .flat()
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}
