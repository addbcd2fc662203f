import { existsSync, readFileSync } from "node:fs";
import test from "ava";
import type { ExecOptions } from "../../agent/backends/crun/native.ts";
import { type Host, onHost, startHost, until } from "./host.ts";

const hostTest = onHost(test);
const terminal = { rows: 30, columns: 100 };

function sh(script: string, options: Partial<ExecOptions> = {}): ExecOptions {
  return { process: { args: ["/bin/sh", "-c", script], cwd: "/", env: ["PATH=/bin"] }, ...options };
}

async function startSleeper(host: Host) {
  await host.start("web", ["/bin/sleep", "1000"]);
  return host.container("web");
}

hostTest("exec gives back output, errors and exit code", async (t, host) => {
  const web = await startSleeper(host);
  const done = await host.calls.run(web, sh("cat; echo wrong >&2; exit 7"), "typed\n");
  t.like(done, { stdout: "typed\n", stderr: "wrong\n", end: { kind: "exited", exitCode: 7 } });
});

hostTest("exec of a process that a signal ends says which", async (t, host) => {
  const web = await startSleeper(host);
  t.deepEqual((await host.calls.run(web, sh("kill -TERM $$"))).end, { kind: "signalled", signal: 15 });
});

hostTest("exec passes megabytes both ways", async (t, host) => {
  const web = await startSleeper(host);
  const input = "0123456789abcdef".repeat(256 * 1024);
  t.is((await host.calls.run(web, sh("cat"), input)).stdout, input);
});

hostTest("exec of a program that cannot be run says why, as a shell's exit code does", async (t, host) => {
  const web = await startSleeper(host);
  for (const options of [{}, { terminal }]) {
    const run = (program: string) =>
      t.throwsAsync(
        host.calls.run(web, { process: { args: [program], cwd: "/", env: ["PATH=/bin"] }, ...options }),
      );
    const missing = await run("/bin/nope");
    t.like(missing, { code: "EXEC_FAILED", details: { exitCode: 127 } });
    t.is(missing?.message, "exec: executable file `/bin/nope` not found: No such file or directory");
    t.like(await run("/etc"), { code: "EXEC_FAILED", details: { exitCode: 126 } });
  }
  const noArguments = host.calls.run(web, { process: { args: [], cwd: "/" } });
  t.like(await t.throwsAsync(noArguments), {
    code: "SPEC_REFUSED",
    message: "process.args: is missing or empty",
  });
  const capability = sh("true");
  capability.process.capabilities = { effective: ["CAP_NOPE"] };
  t.like(await t.throwsAsync(host.calls.run(web, capability)), { code: "SPEC_REFUSED" });
});

hostTest(
  "exec works in a created container, and says what a stopped, paused or missing one is",
  async (t, host) => {
    const web = host.container("web");
    await t.throwsAsync(host.calls.run(web, sh("true")), { message: "container web does not exist" });
    await host.calls.create(web, {
      bundle: host.bundle("web", ["/bin/sleep", "1000"]),
      output: { kind: "discard" },
    });
    t.is((await host.calls.run(web, sh("echo hello"))).stdout, "hello\n");
    await host.calls.start(web);
    await host.calls.pause(web);
    await t.throwsAsync(host.calls.run(web, sh("true")), { message: "container web is paused" });
    await host.calls.resume(web);
    await host.calls.kill(web, "KILL");
    await until(async () => (await host.calls.state(web)).status === "stopped", { what: "stopped" });
    await t.throwsAsync(host.calls.run(web, sh("true")), { message: "container web is not running" });
  },
);

hostTest(
  "a terminal is the container's own, has a size, changes it, and takes ^D for an end",
  async (t, host) => {
    const web = await startSleeper(host);
    const script = "tty; stty size; read line; stty size; cat; exit 9";
    const pid = await host.calls.open(web, sh(script, { terminal }));
    await until(async () => (await host.calls.output(pid)).includes("30 100"), { what: "the first size" });
    await host.calls.resize(pid, 40, 120);
    await host.calls.type(pid, "go\r");
    await until(async () => (await host.calls.output(pid)).includes("40 120"), { what: "the second size" });
    await host.calls.type(pid, "last\r");
    await host.calls.typeEnd(pid);
    t.deepEqual(await host.calls.ended(pid), { kind: "exited", exitCode: 9 });
    await until(async () => (await host.calls.output(pid)).includes("last\r\nlast\r\n"), {
      what: "its output",
    });
    t.is(await host.calls.output(pid), "/dev/pts/0\r\n30 100\r\ngo\r\n40 120\r\nlast\r\nlast\r\n");
  },
);

hostTest("a terminal has its size before the process can ask for it", async (t, host) => {
  const web = await startSleeper(host);
  const process = { args: ["/bin/stty", "size"], cwd: "/", env: ["PATH=/bin"] };
  const sizes = await Promise.all(
    Array.from({ length: 40 }, async () => (await host.calls.run(web, { process, terminal })).stdout),
  );
  t.deepEqual([...new Set(sizes)], ["30 100\r\n"]);
});

hostTest("^C on a terminal interrupts the process in the container", async (t, host) => {
  const web = await startSleeper(host);
  const pid = await host.calls.open(web, sh("echo ready; exec sleep 500", { terminal }));
  await until(async () => (await host.calls.output(pid)).includes("ready"), { what: "its start" });
  await host.calls.type(pid, "\x03");
  t.deepEqual(await host.calls.ended(pid), { kind: "signalled", signal: 2 });
});

hostTest("a terminal that nobody reads does not lose what was written before the end", async (t, host) => {
  const web = await startSleeper(host);
  const { stdout } = await host.calls.run(web, sh("seq 1 20000", { terminal }));
  t.is(stdout, Array.from({ length: 20_000 }, (_, index) => `${index + 1}\r\n`).join(""));
});

hostTest("closing a session kills its process, with what it started", async (t, host) => {
  const web = await startSleeper(host);
  for (const options of [{}, { terminal }]) {
    const pid = await host.calls.open(web, sh("sleep 600 & echo up; wait", options));
    await until(async () => (await host.calls.output(pid)).includes("up"), { what: "its start" });
    await host.calls.close(pid);
    await until(() => !existsSync(`${host.proc}/${pid}`), { what: "its end" });
    await until(async () => (await host.calls.pids(web)).length === 1, { what: "the end of its child" });
    t.is((await host.calls.state(web)).status, "running");
  }
});

test("when the agent is killed, what it executed is killed, and the container goes on", async (t) => {
  if (process.getuid?.() !== 0) return t.pass("skipped: needs root");
  await using host = await startHost();
  const web = await startSleeper(host);
  const { pid: init } = await host.calls.state(web);
  const plain = await host.calls.open(web, sh("exec sleep 600"));
  const shown = await host.calls.open(web, sh("exec sleep 700", { terminal }));
  await host.killAgent();
  for (const pid of [plain, shown])
    await until(() => !existsSync(`${host.proc}/${pid}`), { what: "its end" });
  t.is(readFileSync(`${host.proc}/${init}/comm`, "utf8"), "sleep\n");
  await until(() => host.processes().filter((name) => name === "nexcage-monitor").length === 1, {
    what: "one monitor",
  });
});

hostTest("when its watcher is killed, the end of a process is not invented", async (t, host) => {
  const web = await startSleeper(host);
  const pid = await host.calls.open(web, sh("sleep 600"));
  const parent = /PPid:\s+(\d+)/.exec(readFileSync(`${host.proc}/${pid}/status`, "utf8"))?.[1];
  await host.calls.signal(Number(parent), "SIGKILL");
  t.deepEqual(await host.calls.ended(pid), { kind: "lost" });
});
