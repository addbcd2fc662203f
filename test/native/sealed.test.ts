import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test from "ava";
import { loadNative } from "../../agent/backends/crun/native.ts";
import { onHost, until } from "./host.ts";

const hostTest = onHost(test);

hostTest(
  "nothing of Node reaches the container: descriptors, blocking, limits, signals, environment",
  async (t, host) => {
    const script = [
      "for fd in /proc/self/fd/*; do echo fd ${fd##*/}; done",
      "grep -E 'Sig(Blk|Ign|Cgt)' /proc/1/status",
      "grep 'open files' /proc/1/limits",
      "for fd in 0 1 2; do grep flags /proc/1/fdinfo/$fd; done",
      "exec sleep 1000",
    ].join("; ");
    await host.start("web", ["/bin/sleep", "1000"]);
    const { pid } = await host.calls.state(host.container("web"));
    await until(() => readFileSync(`${host.proc}/${pid}/comm`, "utf8") === "sleep\n", { what: "sleep" });
    const status = readFileSync(`${host.proc}/${pid}/status`, "utf8");
    for (const set of ["SigBlk", "SigIgn", "SigCgt"]) t.regex(status, new RegExp(`${set}:\\s0{16}\\n`), set);
    t.regex(readFileSync(`${host.proc}/${pid}/limits`, "utf8"), /Max open files\s+1024\s/);
    const files = execFileSync("ls", [`${host.proc}/${pid}/fd`])
      .toString()
      .trim()
      .split("\n");
    t.deepEqual(files, ["0", "1", "2"]);
    for (const fd of files) {
      const flags = Number.parseInt(
        /flags:\s+(\d+)/.exec(readFileSync(`${host.proc}/${pid}/fdinfo/${fd}`, "utf8"))?.[1] ?? "",
        8,
      );
      t.is(flags & 0o4000, 0, `descriptor ${fd} does not block`);
    }
    t.is(readFileSync(`${host.proc}/${pid}/environ`, "utf8").replaceAll("\0", "\n"), "PATH=/bin\nHOME=/\n");

    // And of a process that exec puts there.
    const { stdout } = await host.calls.run(host.container("web"), {
      process: {
        args: [
          "/bin/sh",
          "-c",
          script.replaceAll("/proc/1/", "/proc/self/").replace("exec sleep 1000", "true"),
        ],
        cwd: "/",
        env: ["PATH=/bin"],
      },
    });
    t.regex(stdout, /SigBlk:\s0{16}\nSigIgn:\s0{16}\nSigCgt:\s0{16}\n/);
    t.regex(stdout, /Max open files\s+1024\s/);
    t.deepEqual(stdout.match(/fd \d+/g)?.slice(0, 3), ["fd 0", "fd 1", "fd 2"]);
  },
);

hostTest(
  "10,000 states and hundreds of lives leak no descriptor, and no memory to speak of",
  async (t, host) => {
    t.timeout(120_000);
    const web = host.container("web");
    const life = host.container("life");
    await host.start("web", ["/bin/sleep", "1000"]);
    const bundle = host.bundle("life", ["/bin/sleep", "1000"]);
    await host.calls.repeat(500, "state", web);
    await host.calls.repeatLife(5, life, bundle);
    const before = { descriptors: await host.calls.descriptors(), bytes: await host.calls.residentBytes() };
    await host.calls.repeat(10_000, "state", web);
    await host.calls.repeatLife(200, life, bundle);
    for (let i = 0; i < 20; i++) {
      await host.calls.run(web, { process: { args: ["/bin/true"], cwd: "/", env: [] } });
      await t.throwsAsync(
        host.calls.run(web, {
          process: { args: ["/bin/nope"], cwd: "/", env: [] },
          terminal: { rows: 1, columns: 1 },
        }),
      );
      await t.throwsAsync(host.calls.state(host.container("none")));
    }
    t.is(await host.calls.descriptors(), before.descriptors);
    const grown = (await host.calls.residentBytes()) - before.bytes;
    t.true(grown < 24 * 1024 * 1024, `${grown} bytes`);
    t.deepEqual(host.processes().filter((name) => name === "sleep").length, 1);
  },
);

hostTest("flock sees what another open file holds, and nothing else", async (t, host) => {
  const path = join(host.directory, "lock");
  writeFileSync(path, "");
  const held = spawnSync("flock", ["-n", path, "true"]);
  t.is(held.status, 0);
  t.true(await host.calls.flock(1, "unlock"));
});

test("an unsealed program gets the reason, and is not run a second time", async (t) => {
  const error = await t.throwsAsync(loadNative("/nonexistent"));
  t.like(error, {
    code: "BACKEND_UNAVAILABLE",
    message: "crun: this process was not started by its launcher, which seals it as root",
  });
});

hostTest("a library that is missing is a reason, too", async (t, host) => {
  const script = join(host.directory, "load.mts");
  const native = resolve(import.meta.dirname, "../../agent/backends/crun/native.ts");
  writeFileSync(
    script,
    `import { loadNative } from "${native}"; await loadNative("/nonexistent").catch((error) => console.log(JSON.stringify(error)));`,
  );
  const { stdout } = spawnSync(join(host.nativeDirectory, "nexcage-launch"), [process.execPath, script]);
  t.like(JSON.parse(stdout.toString()), { code: "BACKEND_UNAVAILABLE" });
  t.regex(stdout.toString(), /libncx\.so cannot be loaded/);
});

hostTest(
  "the agent's launcher runs the program beside it, sealed, from any folder, without NODE_OPTIONS",
  async (t, host) => {
    const place = mkdtempSync(join(tmpdir(), "nexcage-place-"));
    const run = (program: string, ...args: string[]) =>
      spawnSync(program, args, {
        cwd: "/",
        env: { NODE_OPTIONS: "--nope", NODE_X: "1", OPENSSL_CONF: "/x", KEPT: "yes" },
      });
    const script =
      "console.log(JSON.stringify([require('fs').readlinkSync('/proc/self/exe'), process.argv.slice(2), process.env]))";
    try {
      for (const [bin, lib] of [
        ["dist", "dist/lib/nexcage"],
        ["usr/bin", "usr/lib/nexcage"],
      ] as const) {
        mkdirSync(join(place, bin), { recursive: true });
        mkdirSync(join(place, lib), { recursive: true });
        copyFileSync(join(host.nativeDirectory, "nexcage-agent"), join(place, bin, "nexcage-agent"));
        chmodSync(join(place, bin, "nexcage-agent"), 0o755);
        copyFileSync(join(host.nativeDirectory, "nexcage-oci"), join(place, lib, "nexcage-oci"));
        copyFileSync(process.execPath, join(place, lib, "node"));
        writeFileSync(join(place, lib, "nexcage-agent.cjs"), script);
        const { stdout, stderr } = run(join(place, bin, "nexcage-agent"), "logs", "a b");
        t.is(stderr.toString(), "");
        t.deepEqual(JSON.parse(stdout.toString()), ["/", ["logs", "a b"], { KEPT: "yes" }]);
        symlinkSync(join(place, bin, "nexcage-agent"), join(place, `link-${bin.slice(0, 3)}`));
        t.is(run(join(place, `link-${bin.slice(0, 3)}`)).status, 0);
      }
      rmSync(join(place, "dist/lib"), { recursive: true });
      const { status, stderr } = run(join(place, "dist/nexcage-agent"));
      t.is(status, 127);
      t.regex(stderr.toString(), /cannot run .*lib\/nexcage\/nexcage-oci: No such file/);
    } finally {
      rmSync(place, { recursive: true });
    }
  },
);
