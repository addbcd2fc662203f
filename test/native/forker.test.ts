import {
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type Config, type Host, onHost, startHost, until } from "./host.ts";

const hostTest = onHost(test);

/** Pids of the host: the forker, and its children that are not yet something else. */
function forkers({ proc }: Host): string[] {
  return readdirSync(proc)
    .filter((pid) => /^\d+$/.test(pid) && commandOf(`${proc}/${pid}`) === "nexcage-forker\n")
    .sort((a, b) => Number(a) - Number(b));
}

function commandOf(folder: string): string {
  try {
    return readFileSync(`${folder}/comm`, "utf8");
  } catch {
    return ""; // it has just ended
  }
}

/** The forker is older than its children. */
async function forkerOf(host: Host): Promise<string> {
  return await until(() => forkers(host)[0], { what: "the forker" });
}

function filesOf(process: string): string[] {
  return readdirSync(`${process}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`${process}/fd/${fd}`)];
    } catch {
      return []; // it has just been closed
    }
  });
}

/** A hook that waits for `GO/on`, and has begun when `GO/begun` is there. */
function waitFor(go: string) {
  const script = `touch ${go}/begun; while [ ! -e ${go}/on ]; do sleep 0.02; done`;
  return (config: Config) => {
    config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", script] }] };
  };
}

/** A create whose hook waits. */
async function createSlowly(host: Host, id: string) {
  const go = join(host.directory, "go");
  mkdirSync(go);
  const bundle = host.bundle(id, ["/bin/sleep", "1000"], waitFor(go));
  const created = host.calls.create(host.container(id), { bundle, output: host.monitored(id) });
  created.catch(() => {}); // awaited by the test, later
  await until(() => existsSync(join(go, "begun")), { what: "the hook" });
  return { created, goOn: () => writeFileSync(join(go, "on"), "") };
}

test("the forker is started by the first call that changes something, and by none that looks", async (t) => {
  if (process.getuid?.() !== 0) return t.pass("skipped: needs root");
  await using host = await startHost();
  await host.calls.features();
  await host.calls.list(host.container("web").root);
  await t.throwsAsync(host.calls.state(host.container("web")));
  await t.throwsAsync(host.calls.start(host.container("web")));
  t.deepEqual(forkers(host), []);
  await host.start("web", ["/bin/sleep", "1000"]);
  await forkerOf(host);
});

hostTest("the forker is sealed, small, and has nothing of Node", async (t, host) => {
  await host.start("web", ["/bin/sleep", "1000"]);
  const forker = `${host.proc}/${await forkerOf(host)}`;
  // Its file is on a read-only mount of its own, so a container cannot overwrite it (CVE-2019-5736).
  t.is(readlinkSync(`${forker}/exe`), "/");
  t.throws(() => openSync(`${forker}/exe`, constants.O_WRONLY | constants.O_TRUNC), { code: "EROFS" });
  t.deepEqual(readdirSync(`${forker}/task`).length, 1);
  const resident = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`${forker}/status`, "utf8"))?.[1]);
  t.true(resident < 4096, `${resident} kB`);
  t.regex(readFileSync(`${forker}/environ`, "utf8"), /^PATH=[^\0]*\0$/);
  const ownFiles = ["socket", "/dev/null", "/dev/null", "anon_inode"];
  await until(() => filesOf(forker).length === ownFiles.length, { what: "the end of calls" });
  t.deepEqual(
    filesOf(forker).map((file) => file.replace(/:.*/, "")),
    ownFiles,
  );
});

hostTest(
  "a created container's init holds no descriptor of the forker or of other calls",
  async (t, host) => {
    const slow = await createSlowly(host, "slow");
    const made = await host.calls.create(host.container("web"), {
      bundle: host.bundle("web", ["/bin/sleep", "1000"]),
      output: { kind: "discard" },
    });
    const forker = `${host.proc}/${await forkerOf(host)}`;
    const socketsOf = (): string[] => filesOf(forker).filter((file) => file.startsWith("socket"));
    // The call that is done leaves its own in the init until its exec, which harms nobody.
    await until(() => socketsOf().length === 2, { what: "only its own, and that of the call under way" });
    const sockets = socketsOf();
    const held = filesOf(`${host.proc}/${made.pid}`);
    t.deepEqual(
      held.filter((file) => sockets.includes(file) || file.includes("signalfd")),
      [],
    );
    slow.goOn();
    await slow.created;
  },
);

hostTest(
  "when the forker is killed, the calls under way fail and leave nothing, and the next call works",
  async (t, host) => {
    const { created } = await createSlowly(host, "slow");
    const first = await forkerOf(host);
    await host.calls.signal(Number(first), "SIGKILL");
    t.like(await t.throwsAsync(created), {
      code: "RUNTIME_FAILED",
      message: "the process that runs libcrun was killed",
    });
    t.deepEqual(await host.calls.list(host.container("slow").root), []);
    await until(() => forkers(host).length === 1, { what: "the end of its child" });
    await host.start("web", ["/bin/sleep", "1000"]);
    const second = await forkerOf(host);
    t.not(second, first);

    await host.calls.signal(Number(second), "SIGKILL");
    const isZombie = () => / Z /.test(readFileSync(`${host.proc}/${second}/stat`, "utf8"));
    await until(isZombie, { what: "its end" });
    await host.calls.delete(host.container("web"), { force: true });
    t.false(existsSync(`${host.proc}/${second}`), "reaped");
  },
);

test("when the agent is killed, the call under way is finished, and then the forker ends", async (t) => {
  if (process.getuid?.() !== 0) return t.pass("skipped: needs root");
  await using host = await startHost();
  const { goOn } = await createSlowly(host, "slow");
  const forker = await forkerOf(host);
  await host.killAgent();
  await until(() => !host.processes().includes("MainThread"), { what: "the agent's being reaped" });
  t.true(existsSync(`${host.proc}/${forker}`));
  goOn();
  await until(() => existsSync(join(host.container("slow").root, "slow/status")), { what: "the container" });
  await until(() => !existsSync(`${host.proc}/${forker}`), { what: "its end" });
  await until(() => host.processes().includes("nexcage-monitor"), { what: "the monitor" });
});

hostTest("forty lives at once, and every child is reaped", async (t, host) => {
  const ids = Array.from({ length: 40 }, (_, index) => `many-${index}`);
  await Promise.all(
    ids.map(async (id) => {
      await host.start(id, ["/bin/sleep", "1000"]);
      await host.calls.delete(host.container(id), { force: true });
    }),
  );
  t.deepEqual(await host.calls.list(host.container("").root), []);
  const forker = await forkerOf(host);
  await until(() => readFileSync(`${host.proc}/${forker}/task/${forker}/children`, "utf8") === "", {
    what: "the end of all children",
  });
});
