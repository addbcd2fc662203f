/**
 * A place in which libcrun's containers start: a pid namespace with a first process that reaps, and a mount
 * namespace whose cgroups are pure v1. What runs in it ends with it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { ExecutionContext, TestFn } from "ava";
import type { CreateOptions, ExecOptions, Native } from "../../agent/backends/crun/native.ts";
import type { ExecSession, ProcessEnd } from "../../agent/backends/oci/exec-session.ts";
import { type ErrorJson, NexcageError } from "../../shared/errors.ts";

export type Config = Record<string, unknown> & {
  process: Record<string, unknown>;
  mounts: Record<string, unknown>[];
  linux: Record<string, unknown>;
};

/** The calls of `Native` and of `driver.ts`, through the sealed program. */
export type Calls = Omit<Native, "version" | "exec"> & {
  run(
    container: { root: string; id: string },
    options: ExecOptions,
    input?: string,
  ): Promise<{ pid: number; stdout: string; stderr: string; end: ProcessEnd }>;
  open(container: { root: string; id: string }, options: ExecOptions): Promise<number>;
  output(pid: number): Promise<string>;
  type(pid: number, input: string): Promise<void>;
  typeEnd(pid: number): Promise<void>;
  resize(pid: number, rows: number, columns: number): Promise<void>;
  ended(pid: number): Promise<Awaited<ExecSession["ended"]>>;
  close(pid: number): Promise<void>;
  signal(pid: number, signal: string): Promise<void>;
  descriptors(): Promise<number>;
  residentBytes(): Promise<number>;
  flock(fd: number, operation: "shared" | "exclusive" | "unlock"): Promise<boolean>;
  repeat(times: number, method: "state", container: { root: string; id: string }): Promise<void>;
  repeatLife(times: number, container: { root: string; id: string }, bundle: string): Promise<void>;
};

const nativeBuild = resolve(import.meta.dirname, "../../native/build");

/** Why real containers cannot run here, or undefined. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root: containers, namespaces, cgroups";
  try {
    execFileSync(nativeBuild, { stdio: ["ignore", "ignore", "pipe"] });
    execFileSync("unshare", ["-m", "-p", "--fork", "true"], { stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    return String(error).split("\n").slice(0, 3).join(" ");
  }
  return undefined;
}

/**
 * Declares the tests of a file on one host, one after the other; what a test leaves is removed after it.
 * Where containers cannot run they are skipped, and each says why.
 */
export function onHost(test: TestFn) {
  const reason = obstacle();
  let started: Promise<Host> | undefined;
  test.after.always("the host ends", async () => {
    await (await started)?.[Symbol.asyncDispose]();
  });
  return (title: string, body: (t: ExecutionContext, host: Host) => Promise<void>): void => {
    if (reason !== undefined) {
      process.stderr.write(`skipped, ${reason}: ${title}\n`);
      test.skip(title, () => {});
      return;
    }
    test.serial(title, async (t) => {
      started ??= startHost();
      const host = await started;
      try {
        await body(t, host);
      } finally {
        await host.clear();
      }
    });
  };
}

/** Waits until `condition` gives something, for at most `limitMs`. */
export async function until<Value>(
  condition: () => Value | Promise<Value>,
  { limitMs = 20_000, what = "it" } = {},
): Promise<NonNullable<Value>> {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${limitMs} ms`);
    await delay(5);
  }
}

export type Host = AsyncDisposable & {
  calls: Calls;
  /** Everything of this host lies in it. */
  directory: string;
  /** Its `/proc`, seen from outside. */
  proc: string;
  /** Of its first process, seen from outside; for nsenter. */
  firstPid: string;
  nativeDirectory: string;
  rootfs: string;
  container(id: string): { root: string; id: string };
  /** A bundle of this id on the host's rootfs; `edit` changes its configuration. */
  bundle(id: string, command: string[], edit?: (config: Config) => void): string;
  /** Output to a monitor; its files are `DIRECTORY/ID.*`. */
  monitored(id: string, logMaxBytes?: number): Extract<CreateOptions["output"], { kind: "monitor" }>;
  /** Created and started, with a monitor. */
  start(
    id: string,
    command: string[],
    edit?: (config: Config) => void,
  ): Promise<{ pid: number; monitorPid: number }>;
  /** The names of the processes in it. */
  processes(): string[];
  /** Deletes every container, and all files but the rootfs. */
  clear(): Promise<void>;
  /** Kills the sealed program, as an agent may be killed; `calls` answer no more. */
  killAgent(): Promise<void>;
};

export async function startHost(): Promise<Host> {
  const nativeDirectory = execFileSync(nativeBuild, { stdio: ["ignore", "pipe", "ignore"] })
    .toString()
    .trim();
  const directory = mkdtempSync(join(tmpdir(), "nexcage-native-"));
  const cgroup = `/nexcage-test-${process.pid}-${directory.slice(-6)}`;
  const rootfs = makeRootfs(join(directory, "rootfs"));
  const driver = resolve(import.meta.dirname, "driver.ts");
  const program = [
    join(nativeDirectory, "nexcage-launch"),
    process.execPath,
    "--expose-gc",
    driver,
    nativeDirectory,
  ];
  // The driver is not the first process: it can be killed, and what it leaves goes on.
  const script =
    'umount /sys/fs/cgroup/unified 2>/dev/null; exec 3<&0; "$@" <&3 3<&- & exec 3<&-; wait $!; exec sleep infinity';
  const child = spawn(
    "unshare",
    ["-m", "-p", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c"].concat(
      ['exec catatonit -- sh -c "$0" sh "$@"', script],
      program,
    ),
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const calls = openCalls(child);
  await calls.descriptors();
  const first = await until(() => childOf(child.pid ?? 0), { what: "the first process" });
  const proc = `/proc/${first}/root/proc`;
  const container = (id: string) => ({ root: join(directory, "state"), id });
  const host: Host = {
    calls,
    directory,
    proc,
    firstPid: first,
    nativeDirectory,
    rootfs,
    container,
    bundle(id, command, edit = () => {}) {
      const config = makeConfig({ command, rootfs, cgroupsPath: `${cgroup}/${id}` });
      edit(config);
      const bundle = join(directory, `${id}.bundle`);
      mkdirSync(bundle, { recursive: true });
      writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
      return bundle;
    },
    monitored(id, logMaxBytes = 1024 * 1024) {
      const ioPath = join(directory, `${id}.io`);
      mkdirSync(ioPath, { recursive: true });
      const path = join(directory, id);
      return { kind: "monitor", ioPath, logPath: `${path}.log`, logMaxBytes, exitRecordPath: `${path}.exit` };
    },
    async start(id, command, edit) {
      const options = { bundle: host.bundle(id, command, edit), output: host.monitored(id) };
      const made = await calls.create(container(id), options);
      await calls.start(container(id));
      return made;
    },
    processes: () => processNames(proc),
    async clear() {
      for (const id of await calls.list(container("").root))
        await calls.delete(container(id), { force: true });
      await until(() => !processNames(proc).includes("nexcage-monitor"), { what: "the end of the monitors" });
      for (const name of readdirSync(directory))
        if (name !== "rootfs") rmSync(join(directory, name), { recursive: true, force: true });
    },
    async killAgent() {
      const agents = () =>
        readdirSync(proc).filter((pid) => commandOf(`${proc}/${pid}`).startsWith(process.execPath));
      for (const pid of agents()) execFileSync("nsenter", ["-t", first, "-p", "-m", "kill", "-KILL", pid]);
      await until(() => agents().length === 0, { what: "the agent's end" });
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
      await until(() => removeCgroup(cgroup), { what: `removing the cgroup ${cgroup}` });
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return host;
}

type Pending = { resolve: (value: never) => void; reject: (error: Error) => void };

function openCalls(child: ChildProcess): Calls {
  const pending = new Map<number, Pending>();
  let last = 0;
  if (child.stdout === null || child.stdin === null) throw new Error("the driver has no stdio");
  const { stdin } = child;
  stdin.on("error", () => {});
  createInterface({ input: child.stdout })
    .on("line", (line) => {
      const { id, result, error } = JSON.parse(line);
      const call = pending.get(id);
      pending.delete(id);
      if (error === undefined) call?.resolve(result as never);
      else call?.reject(asError(error));
    })
    .on("close", () => {
      for (const call of pending.values()) call.reject(new Error("the driver has ended"));
      pending.clear();
    });
  return new Proxy({} as Calls, {
    get:
      (_, method) =>
      (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          last += 1;
          pending.set(last, { resolve, reject });
          stdin.write(`${JSON.stringify({ id: last, method, args })}\n`);
        }),
  });
}

function asError(error: ErrorJson): Error {
  return error.code === undefined
    ? new Error(error.message)
    : new NexcageError(error.code, error.message, error);
}

function makeRootfs(rootfs: string): string {
  for (const folder of ["bin", "proc", "sys", "dev", "tmp", "etc"])
    mkdirSync(join(rootfs, folder), { recursive: true });
  execFileSync("cp", ["/bin/busybox", join(rootfs, "bin/busybox")]);
  for (const name of [
    "sh",
    "echo",
    "sleep",
    "cat",
    "ls",
    "id",
    "kill",
    "seq",
    "tty",
    "stty",
    "true",
    "yes",
    "head",
    "dd",
    "touch",
    "tail",
    "grep",
    "tr",
  ])
    execFileSync("ln", ["-s", "busybox", join(rootfs, "bin", name)]);
  return rootfs;
}

function makeConfig(options: { command: string[]; rootfs: string; cgroupsPath: string }): Config {
  return {
    ociVersion: "1.0.2",
    root: { path: options.rootfs },
    process: {
      terminal: false,
      cwd: "/",
      args: options.command,
      env: ["PATH=/bin"],
      user: { uid: 0, gid: 0 },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
      },
    ],
    linux: {
      cgroupsPath: options.cgroupsPath,
      namespaces: [{ type: "pid" }, { type: "mount" }, { type: "ipc" }, { type: "uts" }],
    },
  };
}

function childOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0] || undefined;
}

function commandOf(folder: string): string {
  try {
    return readFileSync(`${folder}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function processNames(proc: string): string[] {
  return readdirSync(proc)
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`${proc}/${pid}/comm`, "utf8").trim()];
      } catch {
        return []; // it has just ended
      }
    });
}

/** The cgroup with all below it; false while something in it has not died yet. */
function removeCgroup(cgroup: string): boolean {
  let isGone = true;
  for (const controller of readdirSync("/sys/fs/cgroup")) {
    const remove = (path: string) => {
      try {
        for (const entry of readdirSync(path, { withFileTypes: true }))
          if (entry.isDirectory()) remove(join(path, entry.name));
        rmdirSync(path);
      } catch (error) {
        if (!String(error).includes("ENOENT")) isGone = false;
      }
    };
    remove(join("/sys/fs/cgroup", controller, cgroup));
  }
  return isGone;
}
