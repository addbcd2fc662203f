import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { type ExitRecord, readExitRecord } from "../../agent/backends/oci/exit-record.ts";
import { type Host, onHost, until } from "./host.ts";

const hostTest = onHost(test);

/** Of the container's log and the one before it: `stdout F text` a line. */
function logOf({ directory }: Host, id: string): string[] {
  return [`${id}.log.1`, `${id}.log`]
    .map((name) => join(directory, name))
    .filter((path) => existsSync(path))
    .flatMap((path) => readFileSync(path, "utf8").split("\n").slice(0, -1));
}

function withoutTimes(lines: string[]): string[] {
  return lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /, ""));
}

function recordOf(host: Host, id: string): Promise<ExitRecord> {
  const path = host.monitored(id).exitRecordPath;
  return until(() => readExitRecord(path), { what: `the exit record of ${id}`, limitMs: 60_000 });
}

/** A script run by sh to its end, with what its monitor wrote. */
async function runToEnd(host: Host, script: string) {
  const { pid } = await host.start("web", ["/bin/sh", "-c", script]);
  return { pid, record: await recordOf(host, "web") };
}

hostTest("the exit code is kept, with the time and which process it was", async (t, host) => {
  const before = Date.now();
  const { pid, record } = await runToEnd(host, "exit 37");
  t.like(record, { exitCode: 37, signal: undefined, oomKilled: false, pid });
  t.true(Math.abs(Date.parse(record.finishedAt) - before) < 10_000);
  t.true(record.startTime > 0);
});

hostTest("a signal is kept as a signal", async (t, host) => {
  await host.start("web", ["/bin/sleep", "1000"]);
  await host.calls.kill(host.container("web"), "KILL");
  t.like(await recordOf(host, "web"), { signal: 9, exitCode: undefined, oomKilled: false });
});

hostTest("a container killed for want of memory is recorded so", async (t, host) => {
  await host.start("web", ["/bin/sh", "-c", "exec tail /dev/zero"], (config) => {
    config.linux.resources = { memory: { limit: 16 * 1024 * 1024, swap: 16 * 1024 * 1024 } };
  });
  t.like(await recordOf(host, "web"), { signal: 9, oomKilled: true });
});

hostTest(
  "output is in the log with time and stream before the record says that it has ended",
  async (t, host) => {
    await runToEnd(host, "echo one; echo two >&2; printf 'no newline'; exit 1");
    const lines = logOf(host, "web");
    t.true(lines.every((line) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /.test(line)));
    t.deepEqual(withoutTimes(lines).sort(), ["stderr F two", "stdout F no newline", "stdout F one"]);
  },
);

hostTest("a prompt shows at once, as a part of a line", async (t, host) => {
  await host.start("web", ["/bin/sh", "-c", "printf 'login: '; exec sleep 1000"]);
  await until(() => logOf(host, "web").length > 0, { what: "the prompt" });
  t.deepEqual(withoutTimes(logOf(host, "web")), ["stdout P login: "]);
});

hostTest("a line of any length comes whole, in parts of 16 KiB", async (t, host) => {
  await runToEnd(host, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo after");
  const lines = withoutTimes(logOf(host, "web"));
  t.deepEqual(
    lines.map((line) => line.slice(0, 9)),
    [...Array(6).fill("stdout P "), "stdout F ", "stdout F "],
  );
  t.is(
    lines
      .slice(0, 7)
      .map((line) => line.slice(9))
      .join(""),
    "x".repeat(100_000),
  );
  t.is(lines.at(-1), "stdout F after");
});

hostTest("rotation loses and tears no line, and both files stay in their bound", async (t, host) => {
  const max = 64 * 1024;
  const output = host.monitored("web", max);
  const seen = new Map<number, string>();
  const bundle = host.bundle("web", ["/bin/sh", "-c", "seq 1 2000; read x; seq 2001 6000"]);
  await host.calls.create(host.container("web"), { bundle, output });
  await host.calls.start(host.container("web"));
  const look = () => {
    for (const path of [`${output.logPath}.1`, output.logPath].filter((path) => existsSync(path))) {
      t.true(statSync(path).size <= max);
      seen.set(statSync(path).ino, readFileSync(path, "utf8"));
    }
  };
  await recordOf(host, "web");
  look();
  const numbers = withoutTimes(logOf(host, "web")).map((line) => Number(line.replace("stdout F ", "")));
  t.is(numbers.at(-1), 6000);
  t.deepEqual(
    numbers,
    Array.from({ length: numbers.length }, (_, index) => 6000 - numbers.length + 1 + index),
  );
  t.true(existsSync(`${output.logPath}.1`));
});

hostTest("1 GB of output neither stops the container nor leaves the log's bound", async (t, host) => {
  t.timeout(120_000);
  const max = 1024 * 1024;
  const go = join(host.directory, "go");
  mkdirSync(go);
  writeFileSync(join(go, "megabyte"), `${"x".repeat(99)}\n`.repeat(10_000));
  const script = "for i in $(seq 1 1000); do cat /go/megabyte; done; echo the end";
  const bundle = host.bundle("web", ["/bin/sh", "-c", script], (config) => {
    config.mounts.push({ destination: "/go", type: "bind", source: go, options: ["bind", "ro"] });
  });
  await host.calls.create(host.container("web"), { bundle, output: host.monitored("web", max) });
  await host.calls.start(host.container("web"));
  t.like(await recordOf(host, "web"), { exitCode: 0 });
  const path = host.monitored("web").logPath;
  t.true(statSync(path).size <= max);
  t.true(statSync(`${path}.1`).size <= max);
  t.true(statSync(`${path}.1`).size > max - 64 * 1024);
  t.is(withoutTimes(logOf(host, "web")).at(-1), "stdout F the end");
});

hostTest("a full disk loses lines and says how many, never the container", async (t, host) => {
  const mounted = join(host.directory, "small");
  const inside = ["nsenter", "-t", host.firstPid, "-m"];
  const run = (...command: string[]) => spawnSync(inside[0] ?? "", [...inside.slice(1), ...command]).status;
  t.is(run("mkdir", mounted), 0);
  t.is(run("mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", mounted), 0);
  t.is(run("dd", "if=/dev/zero", `of=${mounted}/fill`, "bs=1k", "count=100"), 0);
  const output = {
    ...host.monitored("web", 1024 * 1024),
    logPath: join(mounted, "log"),
    exitRecordPath: join(mounted, "exit"),
  };
  const go = join(host.directory, "go");
  const bundle = host.bundle(
    "web",
    [
      "/bin/sh",
      "-c",
      "seq 1 20000; touch /go/done; while [ ! -e /go/more ]; do sleep 0.02; done; echo after",
    ],
    (config) => {
      config.mounts.push({ destination: "/go", type: "bind", source: go, options: ["bind", "rw"] });
    },
  );
  t.is(run("mkdir", go), 0);
  await host.calls.create(host.container("web"), { bundle, output });
  await host.calls.start(host.container("web"));
  await until(() => existsSync(join(go, "done")), { what: "20,000 lines written by the container" });

  // What is still in the pipe when there is space again is written, and would fill it once more.
  await sleep(1_000);
  t.is(run("rm", `${mounted}/fill`), 0);
  const log = () => readFileSync(`/proc/${host.firstPid}/root${output.logPath}`, "utf8");
  await until(() => log().includes("dropped here"), { what: "the notice" });
  writeFileSync(join(go, "more"), "");
  await until(() => log().endsWith("stdout F after\n"), { what: "the line after it" });

  const lines = withoutTimes(log().split("\n").slice(0, -1));
  const notice = lines.findIndex((line) => line.includes("dropped here"));
  const dropped = Number(/nexcage: (\d+) lines/.exec(lines[notice] ?? "")?.[1]);
  t.deepEqual(
    lines.slice(0, notice),
    Array.from({ length: notice }, (_, index) => `stdout F ${index + 1}`),
  );
  t.is(notice + dropped, 20_000);
  const record = await until(() => readExitRecord(`/proc/${host.firstPid}/root${output.exitRecordPath}`));
  t.like(record, { exitCode: 0 });
  await until(() => run("umount", mounted) === 0, { what: "the monitor closing its log" });
});

hostTest(
  "the container goes on when its monitor is killed, and a new one takes its output over",
  async (t, host) => {
    const go = join(host.directory, "go");
    mkdirSync(go);
    const { pid, monitorPid } = await host.start(
      "web",
      [
        "/bin/sh",
        "-c",
        "echo one; while [ ! -e /go/on ]; do sleep 0.02; done; echo two; while [ ! -e /go/end ]; do sleep 0.02; done; echo three; exit 4",
      ],
      (config) =>
        void config.mounts.push({ destination: "/go", type: "bind", source: go, options: ["bind", "rw"] }),
    );
    const { kind: _, ...files } = host.monitored("web");
    await until(() => logOf(host, "web").length === 1, { what: "the first line" });
    t.is(await host.calls.monitorPid(files.ioPath), monitorPid);
    await t.throwsAsync(host.calls.attachMonitor({ ...files, pid }), { message: /already has a monitor/ });

    await host.calls.signal(monitorPid, "SIGKILL");
    await until(async () => (await host.calls.monitorPid(files.ioPath)) === 0, { what: "the monitor's end" });
    writeFileSync(join(go, "on"), "");
    t.is((await host.calls.state(host.container("web"))).status, "running");

    const attached = await host.calls.attachMonitor({ ...files, pid });
    t.is(await host.calls.monitorPid(files.ioPath), attached.monitorPid);
    await until(() => logOf(host, "web").length === 2, { what: "the second line" });
    writeFileSync(join(go, "end"), "");
    t.like(await recordOf(host, "web"), { lost: true, exitCode: undefined, signal: undefined, pid });
    t.deepEqual(withoutTimes(logOf(host, "web")), ["stdout F one", "stdout F two", "stdout F three"]);
  },
);

hostTest("a monitor outlives the agent, takes under 1 MB, and keeps nothing of it", async (t, host) => {
  const { monitorPid } = await host.start("web", ["/bin/sleep", "1000"]);
  const monitor = `${host.proc}/${monitorPid}`;
  await until(() => readFileSync(`${monitor}/comm`, "utf8") === "nexcage-monitor\n", { what: "its exec" });
  await until(() => existsSync(host.monitored("web").logPath), { what: "its log" });
  const resident = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`${monitor}/status`, "utf8"))?.[1]);
  t.true(resident < 1024, `${resident} kB`);
  t.true(readdirSync(`${monitor}/fd`).length <= 10);
  t.is(readFileSync(`${monitor}/environ`, "utf8"), "");
  t.is(readFileSync(`${monitor}/stat`, "utf8").split(" ")[5], String(monitorPid), "its own session");
  await host.calls.signal(monitorPid, "SIGTERM");
  t.is((await host.calls.state(host.container("web"))).status, "running");
  t.is(await host.calls.monitorPid(host.monitored("web").ioPath), monitorPid);
});

hostTest("what the container leaves behind is reaped, and its pipes are removed", async (t, host) => {
  await runToEnd(host, "sleep 1000 & echo started; exit 0");
  await until(async () => (await host.calls.monitorPid(host.monitored("web").ioPath)) === 0, {
    what: "the monitor's end",
  });
  t.deepEqual(readdirSync(host.monitored("web").ioPath), ["monitor"]);
  t.false(
    host.processes().includes("sleep") && host.processes().filter((name) => name === "sleep").length > 1,
  );
});
