import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import test from "ava";
import { onOciHost } from "../oci/oci-host.ts";
import { mutate, randomOf } from "./mutate.ts";

const ociTest = onOciHost(test);

const files = 500;
/** crun of the same version, from the very source of the library. */
const buildCrun = resolve(import.meta.dirname, "../../native/build");

/**
 * What we refuse before libcrun is asked, and crun lets through: native/bundle.c says why of each. The bundle is
 * one of podman's, but for its size.
 */
const refusals = [
  /^process\.args: is missing or empty/, // crun makes a container that can never start
  /^mounts: nothing is mounted on \/dev/, // device nodes would be made in the rootfs (CVE-2026-47766)
  /^root\.path: /,
  /^linux\.cgroupsPath: must not hold/,
  /^linux\.namespaces: no "mount"/, // its mounts would stay on the host
  /^linux\.[\w.]+: libcrun 1\.21 does not know it/,
];

const document = {
  ociVersion: "1.0.2",
  hostname: "fuzz",
  annotations: { "run.oci.keep": "no", "a.b": "c" },
  process: {
    terminal: false,
    user: { uid: 0, gid: 0, additionalGids: [5], umask: 18 },
    args: ["/bin/true"],
    env: ["PATH=/bin", "A=b"],
    cwd: "/",
    capabilities: {
      bounding: ["CAP_KILL", "CAP_CHOWN"],
      effective: ["CAP_KILL"],
      permitted: ["CAP_KILL"],
      inheritable: ["CAP_KILL"],
      ambient: ["CAP_KILL"],
    },
    rlimits: [{ type: "RLIMIT_CORE", hard: 0, soft: 0 }],
    noNewPrivileges: true,
    oomScoreAdj: 100,
  },
  root: { path: "rootfs", readonly: true },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec"] },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] },
    { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["rw"] },
    { destination: "/mnt", type: "bind", source: "/etc", options: ["rbind", "ro"] },
  ],
  hooks: { createRuntime: [{ path: "/bin/true", args: ["true"], env: ["A=b"], timeout: 2 }] },
  linux: {
    cgroupsPath: "/nexcage-oci/fuzz",
    namespaces: [{ type: "pid" }, { type: "mount" }, { type: "ipc" }, { type: "uts" }, { type: "network" }],
    resources: {
      devices: [{ allow: false, access: "rwm" }],
      memory: { limit: 67108864 },
      cpu: { shares: 100, quota: 50000, period: 100000 },
      pids: { limit: 20 },
    },
    devices: [{ path: "/dev/mine", type: "c", major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0 }],
    sysctl: { "kernel.domainname": "fuzz" },
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
    },
    maskedPaths: ["/proc/kcore"],
    readonlyPaths: ["/proc/sys"],
  },
};

ociTest(
  `${files} bundles with mistakes: no crash, no hang, nothing left, and what crun accepts is accepted`,
  async (t, { host, program, bundle, shell, leftovers }) => {
    t.timeout(20 * 60_000);
    const crun = execFileSync(buildCrun, ["--crun"], { encoding: "utf8" }).trim();
    const place = bundle("fuzz", []);
    await shell("ln -s $B/rootfs $B/fuzz/rootfs");
    const run = (words: string[]) =>
      host.exec(["timeout", "-k", "1", "20", "sh", "-c", 'cd "$0" && exec "$@"', place, ...words]);
    const before = await leftovers();
    const counts = { accepted: 0, refused: 0, ours: 0 };
    for (let seed = 1; seed <= files; seed++) {
      const text = mutate(document, randomOf(seed));
      writeFileSync(join(place, "config.json"), text);
      const theirs = await run([
        "unshare",
        "-m",
        crun,
        "--root",
        "/run/crun",
        "--cgroup-manager",
        "cgroupfs",
        "run",
        "fuzz",
      ]);
      await run([crun, "--root", "/run/crun", "delete", "--force", "fuzz"]);
      const ours = await run([program, "run", "fuzz"]);
      const what = `seed ${seed}: crun ${theirs.exitCode} ${theirs.stderr}, ours ${ours.exitCode} ${ours.stderr}`;
      t.true(ours.exitCode !== undefined && ours.exitCode < 124, `${what}: it crashed, or hung`);
      t.false(/Sanitizer|core dumped|stack smashing/.test(ours.stderr), what);
      if (ours.exitCode === 1 && ours.stderr === "") t.fail(`${what}: it does not say why`);
      if (theirs.exitCode === 0 && ours.exitCode !== 0) {
        counts.ours += 1;
        t.true(
          refusals.some((known) => known.test(ours.stderr)),
          what,
        );
      } else if (ours.exitCode === 0) counts.accepted += 1;
      else counts.refused += 1;
      t.is((await shell("ls /run/nexcage/.crun 2>/dev/null")).stdout, "", `${what}: its state is left`);
      if (seed % 50 === 0) t.is(await leftovers(), before, `up to seed ${seed}`);
    }
    t.log(counts);
    t.true(counts.accepted > files / 10 && counts.refused > files / 10);
    mkdirSync(place, { recursive: true });
  },
);
