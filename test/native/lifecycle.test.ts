import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type Config, type Host, onHost, until } from "./host.ts";

const hostTest = onHost(test);

async function statusOf({ calls, container }: Host, id: string): Promise<string> {
  return (await calls.state(container(id))).status;
}

/** The cgroup folders of this id, in every hierarchy. */
function cgroupsOf(host: Host, id: string): string[] {
  return readdirSync("/sys/fs/cgroup").flatMap((controller) => {
    const path = `/sys/fs/cgroup/${controller}/nexcage-test-${process.pid}-${host.directory.slice(-6)}/${id}`;
    return existsSync(path) ? [path] : [];
  });
}

hostTest(
  "a container goes from created to running to stopped, and nothing of it is left",
  async (t, host) => {
    const { calls } = host;
    const web = host.container("web");
    const bundle = host.bundle("web", ["/bin/sleep", "1000"], (config) => {
      config.annotations = { "io.nexcage.fleet": "demo" };
    });

    const { pid } = await calls.create(web, { bundle, output: { kind: "discard" } });
    t.like(await calls.state(web), {
      status: "created",
      pid,
      bundle,
      annotations: { "io.nexcage.fleet": "demo" },
    });
    t.true(readFileSync(`${host.proc}/${pid}/status`, "utf8").includes("NSpid:"));

    await calls.start(web);
    await until(() => readFileSync(`${host.proc}/${pid}/comm`, "utf8") === "sleep\n", { what: "sleep" });
    t.like(await calls.state(web), { status: "running", pid });
    t.deepEqual(await calls.list(web.root), ["web"]);
    t.deepEqual(await calls.pids(web), [pid]);

    await calls.kill(web, "SIGKILL");
    await until(async () => (await statusOf(host, "web")) === "stopped", { what: "stopped" });
    t.like(await calls.state(web), { status: "stopped", pid: 0 });
    await calls.delete(web, { force: false });
    t.deepEqual(await calls.list(web.root), []);
    t.deepEqual(readdirSync(web.root), []);
    t.deepEqual(cgroupsOf(host, "web"), []);
  },
);

hostTest(
  "pause freezes, resume thaws, update changes the limits, delete --force ends even what is frozen",
  async (t, host) => {
    const { calls } = host;
    const web = host.container("web");
    await host.start("web", ["/bin/sleep", "1000"], (config) => {
      config.linux.resources = { memory: { limit: 64 * 1024 * 1024 } };
    });
    const limit = () =>
      readFileSync(
        join(cgroupsOf(host, "web").find((path) => path.includes("/memory/")) ?? "", "memory.limit_in_bytes"),
        "utf8",
      );
    t.is(limit(), `${64 * 1024 * 1024}\n`);

    await calls.update(web, { memory: { limit: 32 * 1024 * 1024 } });
    t.is(limit(), `${32 * 1024 * 1024}\n`);

    await calls.pause(web);
    t.is(await statusOf(host, "web"), "paused");
    await calls.resume(web);
    t.is(await statusOf(host, "web"), "running");

    await calls.pause(web);
    await calls.delete(web, { force: true });
    t.deepEqual(cgroupsOf(host, "web"), []);
    await until(() => !host.processes().includes("sleep"), { what: "the end of sleep" });
  },
);

hostTest("what cannot be done says why, by what is there", async (t, host) => {
  const { calls } = host;
  const none = host.container("none");
  for (const call of [calls.state, calls.start, calls.pause, calls.pids])
    t.like(await t.throwsAsync(call(none)), {
      code: "CONTAINER_NOT_FOUND",
      message: "container none does not exist",
    });
  await t.throwsAsync(calls.kill(none, "TERM"), { code: "CONTAINER_NOT_FOUND" } as never);
  await t.throwsAsync(calls.delete(none, { force: false }), { code: "CONTAINER_NOT_FOUND" } as never);
  await t.notThrowsAsync(calls.delete(none, { force: true }));

  const web = host.container("web");
  await host.start("web", ["/bin/sleep", "1000"]);
  const again = { bundle: host.bundle("web", ["/bin/true"]), output: { kind: "discard" } } as const;
  await t.throwsAsync(calls.create(web, again), { code: "CONTAINER_EXISTS" } as never);
  await t.throwsAsync(calls.start(web), { code: "CONTAINER_RUNNING" } as never);
  await t.throwsAsync(calls.delete(web, { force: false }), { code: "CONTAINER_RUNNING" } as never);
  t.like(await t.throwsAsync(calls.kill(web, "SIGNOPE")), {
    code: "SPEC_REFUSED",
    message: '"SIGNOPE" is not a signal',
  });

  await calls.kill(web, "9");
  await until(async () => (await statusOf(host, "web")) === "stopped", { what: "stopped" });
  for (const call of [calls.start, calls.pause, calls.resume])
    await t.throwsAsync(call(web), { code: "CONTAINER_NOT_RUNNING" } as never);
  await t.throwsAsync(calls.kill(web, "TERM"), { code: "CONTAINER_NOT_RUNNING" } as never);
});

const refusals: { title: string; edit: (config: Config) => void; message: RegExp }[] = [
  {
    title: "linux.netDevices",
    edit: ({ linux }) => (linux.netDevices = { eth0: {} }),
    message: /^linux\.netDevices: /,
  },
  {
    title: "linux.memoryPolicy",
    edit: ({ linux }) => (linux.memoryPolicy = { mode: "MPOL_BIND" }),
    message: /^linux\.memoryPolicy: /,
  },
  {
    title: "no linux.cgroupsPath",
    edit: ({ linux }) => delete linux.cgroupsPath,
    message: /^linux\.cgroupsPath: is missing/,
  },
  {
    title: "a cgroup outside of its parent",
    edit: ({ linux }) => (linux.cgroupsPath = "/a/../../b"),
    message: /^linux\.cgroupsPath: /,
  },
  {
    title: "nothing mounted on /dev",
    edit: (config) => (config.mounts = config.mounts.filter(({ destination }) => destination !== "/dev")),
    message: /^mounts: nothing is mounted on \/dev/,
  },
  {
    title: "an unknown capability",
    edit: ({ process }) => (process.capabilities = { bounding: ["CAP_NOPE"] }),
    message: /^process\.capabilities\.bounding: "CAP_NOPE"/,
  },
  { title: "no command", edit: ({ process }) => (process.args = []), message: /^process\.args: / },
];

hostTest(
  "a configuration that libcrun would pass and must not is refused, and nothing is made",
  async (t, host) => {
    for (const { title, edit, message } of refusals) {
      const bundle = host.bundle("bad", ["/bin/true"], edit);
      const create = host.calls.create(host.container("bad"), { bundle, output: { kind: "discard" } });
      const error = await t.throwsAsync(create, { message }, title);
      t.like(error, { code: "SPEC_REFUSED" }, title);
    }
    t.deepEqual(await host.calls.list(host.container("bad").root), []);
    t.deepEqual(cgroupsOf(host, "bad"), []);
  },
);

hostTest("ids that could leave their folder are refused by every call", async (t, host) => {
  for (const id of ["../x", "", ".hidden", "a b", "a/b", "x".repeat(129), "a\nb"]) {
    await t.throwsAsync(host.calls.state(host.container(id)), { code: "INVALID_ID" } as never, id);
    await t.throwsAsync(
      host.calls.delete(host.container(id), { force: true }),
      { code: "INVALID_ID" } as never,
      id,
    );
  }
});

hostTest("a bundle without config.json, or with a malformed one, is named", async (t, host) => {
  const bundle = host.bundle("web", ["/bin/true"]);
  const create = () => host.calls.create(host.container("web"), { bundle, output: { kind: "discard" } });
  writeFileSync(join(bundle, "config.json"), '{"ociVersion": "1.0.2", ');
  t.like(await t.throwsAsync(create()), {
    code: "BUNDLE_INVALID",
    message: "config.json: parse error: premature EOF",
  });
  rmSync(join(bundle, "config.json"));
  t.like(await t.throwsAsync(create()), {
    code: "BUNDLE_INVALID",
    message: "config.json: No such file or directory",
  });
});

hostTest(
  "a rootfs whose /dev is a symlink gets no device node outside of it (CVE-2026-47766)",
  async (t, host) => {
    const victim = join(host.directory, "victim");
    const rootfs = join(host.directory, "evil");
    mkdirSync(victim);
    mkdirSync(join(rootfs, "bin"), { recursive: true });
    symlinkSync(victim, join(rootfs, "dev"));
    const evil = (config: Config) => {
      config.root = { path: rootfs };
      config.mounts = [{ destination: "/proc", type: "proc", source: "proc" }];
    };
    const bundle = host.bundle("evil", ["/bin/true"], evil);
    const create = () => host.calls.create(host.container("evil"), { bundle, output: { kind: "discard" } });
    await t.throwsAsync(create(), { message: /CVE-2026-47766/ });

    const withDev = host.bundle("evil", ["/bin/true"], (config) => {
      config.root = { path: rootfs };
    });
    t.is(withDev, bundle);
    await t.throwsAsync(create(), { message: /^root\.path: \/dev in it is not a real directory/ });
    t.deepEqual(readdirSync(victim), []);

    // The program, with the same libcrun, does it: what is refused above is real.
    host.bundle("evil", ["/bin/true"], evil);
    const script = `umount /sys/fs/cgroup/unified; crun --root ${host.directory}/crun create -b ${bundle} evil; crun --root ${host.directory}/crun delete -f evil`;
    spawnSync("unshare", ["-m", "--propagation", "private", "sh", "-c", script]);
    t.true(lstatSync(join(victim, "null"), { throwIfNoEntry: false })?.isCharacterDevice() ?? false);
  },
);

hostTest("a failed hook fails the create with its own words, and nothing is left", async (t, host) => {
  const bundle = host.bundle("web", ["/bin/true"], (config) => {
    config.hooks = {
      createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo no network today >&2; exit 3"] }],
    };
  });
  for (const output of [{ kind: "discard" } as const, host.monitored("web")]) {
    const error = await t.throwsAsync(host.calls.create(host.container("web"), { bundle, output }));
    t.like(error, { code: "RUNTIME_FAILED" });
    t.regex(JSON.stringify(error), /no network today/);
  }
  t.deepEqual(await host.calls.list(host.container("web").root), []);
  t.deepEqual(cgroupsOf(host, "web"), []);
  t.deepEqual(readdirSync(join(host.directory, "web.io")), ["monitor"]);
});

hostTest("a create that hangs ends after its time limit, and nothing is left", async (t, host) => {
  const bundle = host.bundle("web", ["/bin/true"], (config) => {
    config.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "1000"] }] };
  });
  for (const output of [{ kind: "discard" } as const, host.monitored("web")]) {
    const create = host.calls.create(host.container("web"), { bundle, output, timeoutMs: 300 });
    await t.throwsAsync(create, { code: "TIMED_OUT" } as never);
  }
  t.deepEqual(await host.calls.list(host.container("web").root), []);
  t.deepEqual(readdirSync(host.container("web").root), []);
  t.deepEqual(cgroupsOf(host, "web"), []);
});

hostTest("containers share one lower folder through overlays that the host never sees", async (t, host) => {
  t.true(await host.calls.canOverlay(host.directory));
  t.deepEqual(
    readdirSync(host.directory).filter((name) => name.startsWith(".overlay")),
    [],
  );
  const before = readFileSync(`${host.proc}/1/mountinfo`, "utf8");
  for (const id of ["one", "two"]) {
    const bundle = host.bundle(id, ["/bin/sh", "-c", `echo ${id} > /own; exec sleep 1000`], (config) => {
      config.root = { path: "rootfs" };
    });
    const [upper, work] = [join(bundle, "upper"), join(bundle, "wo,r:k")];
    for (const folder of [upper, work, join(bundle, "rootfs")]) mkdirSync(folder);
    const overlay = { lower: host.rootfs, upper, work };
    await host.calls.create(host.container(id), { bundle, overlay, output: host.monitored(id) });
    await host.calls.start(host.container(id));
    const own = () => existsSync(join(upper, "own")) && readFileSync(join(upper, "own"), "utf8");
    t.is(await until(own, { what: "a file in the upper folder" }), `${id}\n`);
    t.deepEqual(readdirSync(join(bundle, "rootfs")), []);
  }
  t.false(existsSync(join(host.rootfs, "own")));
  t.is(readFileSync(`${host.proc}/1/mountinfo`, "utf8"), before);
  const { stdout } = await host.calls.run(host.container("two"), {
    process: { args: ["/bin/cat", "/own"], cwd: "/", env: ["PATH=/bin"] },
  });
  t.is(stdout, "two\n");
});

hostTest("eight creates at once do not disturb each other", async (t, host) => {
  const ids = Array.from({ length: 8 }, (_, index) => `many-${index}`);
  const made = await Promise.all(
    ids.map((id) =>
      host.calls.create(host.container(id), {
        bundle: host.bundle(id, ["/bin/sleep", "1000"]),
        output: host.monitored(id),
      }),
    ),
  );
  t.is(new Set(made.map(({ pid }) => pid)).size, 8);
  t.deepEqual(await host.calls.list(host.container("").root), ids);
  const monitors = () => host.processes().filter((name) => name === "nexcage-monitor");
  await until(() => monitors().length === 8, { what: "eight monitors" });
  for (const id of ids) t.is(await statusOf(host, id), "created");
});

hostTest("delete --force removes what a killed create left: state, processes and cgroup", async (t, host) => {
  const { root } = host.container("half");
  const bundle = host.bundle("half", ["/bin/true"]);
  const { cgroupsPath } = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")).linux;
  mkdirSync(join(root, "half"), { recursive: true });
  copyFileSync(join(bundle, "config.json"), join(root, "half/config.json"));
  const cgroup = join("/sys/fs/cgroup/pids", cgroupsPath);
  mkdirSync(cgroup, { recursive: true });
  const script = 'echo $$ > "$0"; exec sleep 1000';
  const processes = join(cgroup, "cgroup.procs");
  const left = spawn("nsenter", ["-t", host.firstPid, "-p", "-m", "sh", "-c", script, processes]);
  const ended = once(left, "exit");
  await until(() => readFileSync(processes, "utf8") !== "", { what: "a process in the cgroup" });
  await t.throwsAsync(host.calls.state(host.container("half")), { message: "container half does not exist" });

  await host.calls.delete(host.container("half"), { force: true });
  t.deepEqual(await ended, [null, "SIGKILL"]);
  t.false(existsSync(cgroup));
  t.false(existsSync(join(root, "half")));
});
