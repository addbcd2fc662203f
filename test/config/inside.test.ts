import { mkdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import anyTest from "ava";
import { bundleConfig } from "../../agent/backends/oci/bundle.ts";
import { capabilitiesOfMask } from "../../agent/backends/oci/capabilities.ts";
import { openBundle, specOf, whyNoContainers } from "./container.ts";

const reason = await whyNoContainers();
const test = reason === undefined ? anyTest : anyTest.skip;
if (reason !== undefined)
  anyTest("no container is run here", (t) => {
    t.log(reason);
    t.pass();
  });

const capabilityLines = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status";
const capabilitiesIn = (text: string) =>
  Object.fromEntries(
    [...text.matchAll(/^Cap(\w+):\s+(\w+)$/gm)].map(([, set = "", mask = "0"]) => [
      set,
      capabilitiesOfMask(mask),
    ]),
  );
const usual = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_SETFCAP",
];

test("a container has podman's capabilities", async (t) => {
  await using bundle = await openBundle();
  const { Eff, Prm, Bnd, Inh, Amb } = capabilitiesIn(await bundle.run(capabilityLines));
  t.deepEqual(
    [Eff, Prm, Bnd, Inh, Amb].map((set) => set?.toSorted()),
    [usual, usual, usual, [], []].map((set) => set.toSorted()),
  );
});

test("a container that drops all capabilities and adds one has that one", async (t) => {
  await using bundle = await openBundle();
  const { Eff, Bnd } = capabilitiesIn(
    await bundle.run(capabilityLines, { capDrop: ["ALL"], capAdd: ["net_raw"] }),
  );
  t.deepEqual([Eff, Bnd], [["CAP_NET_RAW"], ["CAP_NET_RAW"]]);
});

test("who is not root has at hand what was added by name, and nothing else", async (t) => {
  await using bundle = await openBundle();
  const { Eff, Amb, Bnd } = capabilitiesIn(
    await bundle.run(capabilityLines, { user: "web", capAdd: ["CAP_NET_ADMIN"] }),
  );
  t.deepEqual([Eff, Amb], [["CAP_NET_ADMIN"], ["CAP_NET_ADMIN"]]);
  t.deepEqual(Bnd?.toSorted(), [...usual, "CAP_NET_ADMIN"].toSorted());
});

/** By the host's python3: the error numbers of system calls, made with the first argument that is given. */
async function errnosOf(
  calls: Record<string, [number: number, argument: number]>,
  spec: Record<string, unknown> = {},
) {
  await using bundle = await openBundle();
  for (const name of ["lib", "lib64"]) await symlink(`usr/${name}`, join(bundle.rootfs, name));
  const program = `
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def errno(number, argument):
    return 0 if libc.syscall(number, argument, 0, 0, 0) >= 0 else ctypes.get_errno()
print(json.dumps({name: errno(*call) for name, call in json.loads(sys.argv[1]).items()}))`;
  const command = ["/usr/bin/python3", "-c", program, JSON.stringify(calls)];
  const mounts = [{ type: "bind", source: "/usr", target: "/usr", readOnly: true }];
  return JSON.parse(await bundle.run("", { command, mounts, ...spec }));
}

// By the numbers of this architecture.
const x64Test = reason === undefined && process.arch === "x64" ? anyTest : anyTest.skip;

x64Test("what escapes begin with is not permitted, what is unknown is not implemented", async (t) => {
  const newUserNamespace = 0x10000000;
  const calls: Record<string, [number, number]> = {
    getpid: [39, 0],
    unshare: [272, newUserNamespace],
    clone: [56, newUserNamespace],
    keyctl: [250, 0],
    userfaultfd: [323, 0],
    clone3: [435, 0],
    io_uring_setup: [425, 1],
  };
  const [EPERM, ENOSYS] = [1, 38];
  t.deepEqual(await errnosOf(calls), {
    getpid: 0,
    unshare: EPERM,
    clone: EPERM,
    keyctl: EPERM,
    userfaultfd: EPERM,
    clone3: ENOSYS,
    io_uring_setup: ENOSYS,
  });
});

test("every process of a container is under the seccomp filter", async (t) => {
  await using bundle = await openBundle();
  t.is(await bundle.run("grep Seccomp: /proc/self/status"), "Seccomp:\t2");
});

test("with CAP_SYS_ADMIN it can mount", async (t) => {
  await using bundle = await openBundle();
  const output = await bundle.run("mount -t tmpfs tmpfs /mnt && echo mounted", {
    capAdd: ["SYS_ADMIN"],
    mounts: [{ type: "tmpfs", target: "/mnt" }],
  });
  t.is(output, "mounted");
});

test("a user by name has its own uid, gid, groups and home", async (t) => {
  await using bundle = await openBundle();
  t.is(
    await bundle.run("id; echo $HOME", { user: "web" }),
    "uid=1000(web) gid=1001(www) groups=44(media)\n/srv/web",
  );
});

test("environment, hostname and working directory are what the spec says, the rest is usual", async (t) => {
  await using bundle = await openBundle();
  const said = { environment: { A: "x=y", HOME: "/h" }, hostname: "web-1", workingDir: "/etc" };
  const output = await bundle.run(
    "echo $A $HOME $HOSTNAME $container $PATH; cat /proc/sys/kernel/hostname; pwd",
    said,
  );
  t.is(
    output,
    "x=y /h web-1 nexcage /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nweb-1\n/etc",
  );
});

test("paths that tell about the host are masked, and the kernel's settings cannot be written", async (t) => {
  await using bundle = await openBundle();
  const output = await bundle.run(
    "cat /proc/keys | wc -c; ls /sys/firmware; echo x 2>&1 >/proc/sys/kernel/hostname; touch /sys/x 2>&1; true",
  );
  t.regex(output, /^0\n.*kernel\/hostname: Read-only file system\ntouch: \/sys\/x: Read-only file system$/);
});

test("a read-only container can write to its volumes alone", async (t) => {
  await using bundle = await openBundle();
  const data = join(bundle.bundle, "data");
  await mkdir(data);
  const mounts = [
    { type: "tmpfs", target: "/tmp", sizeBytes: 1_048_576 },
    { type: "bind", source: data, target: "/data" },
    { type: "bind", source: data, target: "/data-ro", readOnly: true },
  ];
  const output = await bundle.run("touch /x /tmp/x /data/x /data-ro/y 2>&1; mount | grep ' /tmp '", {
    readOnly: true,
    mounts,
  });
  t.regex(
    output,
    /touch: \/x: Read-only file system\ntouch: \/data-ro\/y: Read-only file system\ntmpfs on \/tmp .*size=1024k/,
  );
  t.is(await readFile(join(data, "x"), "utf8"), "");
});

test("a file can be a volume", async (t) => {
  await using bundle = await openBundle();
  const source = join(bundle.bundle, "motd");
  await writeFile(source, "hello\n");
  t.is(
    await bundle.run("cat /etc/motd", { mounts: [{ type: "bind", source, target: "/etc/motd" }] }),
    "hello",
  );
});

test("memory, processes and CPU time are limited", async (t) => {
  await using bundle = await openBundle();
  const script =
    "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us 2>/dev/null || cat memory.max pids.max cpu.max";
  const output = await bundle.run(script, { resources: { memoryBytes: 67_108_864, pids: 64, cpus: 0.5 } });
  t.regex(output, /^67108864\n64\n50000/);
});

test("it is on the network of its host, whose resolver and hosts it sees", async (t) => {
  await using bundle = await openBundle();
  t.is(await bundle.run("readlink /proc/self/ns/net"), await readlink("/proc/self/ns/net"));
  t.not(await bundle.run("readlink /proc/self/ns/pid"), await readlink("/proc/self/ns/pid"));
  t.is(await bundle.run("cat /etc/hosts"), (await readFile("/etc/hosts", "utf8")).trimEnd());
});

test("a bundle runs by its own config.json, below our cgroup", async (t) => {
  await using bundle = await openBundle();
  const own = {
    ociVersion: "1.0.2",
    root: { path: "rootfs" },
    process: {
      args: ["/bin/sh", "-c", "cat /proc/self/cgroup; echo $A"],
      cwd: "/",
      env: ["A=b"],
      user: { uid: 0, gid: 0 },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
    ],
    linux: { namespaces: [{ type: "pid" }, { type: "mount" }], cgroupsPath: "/elsewhere" },
  };
  await writeFile(join(bundle.bundle, "config.json"), JSON.stringify(own));
  const spec = specOf({ source: { kind: "bundle", path: bundle.bundle } });
  const config = await bundleConfig(spec, {
    bundle: bundle.bundle,
    cgroupsPath: `/${basename(bundle.bundle)}`,
  });
  t.like(config, { process: own.process, mounts: own.mounts, root: { path: bundle.rootfs } });
  const output = await bundle.runConfig(config);
  t.regex(output, new RegExp(`:/${basename(bundle.bundle)}\n`));
  t.true(output.endsWith("\nb"));
});
