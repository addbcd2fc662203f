import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { asNexcageError, type ErrorCode, hasCode, NexcageError } from "../../../shared/errors.ts";
import type { Log } from "../../log.ts";
import { signalNumber } from "../../signals.ts";
import { readNames, readText } from "../../state/files.ts";
import { parseFile } from "../oci/json-file.ts";
import type { ContainerRef, OciRuntime, OciRuntimeKind } from "../oci/oci-runtime.ts";
import { openShim } from "./shim.ts";

/** `<root>/<id>/state.json`, as runc 1.1 writes it once the init waits for its start. */
const State = z.object({
  init_process_pid: z.int(),
  init_process_start: z.int(),
  config: z.object({ cgroups: z.object({ path: z.string() }) }),
});

const program = "runc";
const timeoutMs = 60_000;
const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
};

/**
 * runc, by its program (1.1 is tried); nexcage-shim makes what it starts a child of our monitor.
 * @param directory where nexcage-shim and nexcage-monitor are, as `native/build` makes them
 */
export function runc(directory: string, { log }: { log: Log }): OciRuntimeKind {
  let loading: Promise<OciRuntime> | undefined;
  return {
    name: "runc",
    readInit(folder) {
      const state = parseFile(State, readText(join(folder, "state.json")));
      if (state === undefined) return undefined;
      const { init_process_pid: pid, init_process_start: startTicks, config } = state;
      return { pid, startTicks, cgroup: config.cgroups.path };
    },
    /** One that outlived the agent that started it. */
    isAtWork({ root, id }) {
      return readNames("/proc").some((pid) => {
        if (!/^\d+$/.test(pid)) return false;
        const words = readText(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
        return words[0] === program && words.includes(root) && words.includes(id);
      });
    },
    load() {
      loading ??= open(directory, log).catch((error: unknown) => {
        loading = undefined; // it may be installed while we run
        throw error;
      });
      return loading;
    },
  };
}

async function open(directory: string, log: Log): Promise<OciRuntime> {
  const version = await findVersion(directory, log);
  const shim = openShim(directory, { environment, log });
  const call = async ({ root }: ContainerRef, words: string[], input?: string): Promise<string> =>
    await run(root, words, log, input);

  return {
    version,
    async create({ root, id }, { bundle, output, overlay }) {
      const pidFile = join(output.ioPath, "pid");
      const words = ["create", "--bundle", bundle, "--pid-file", pidFile, id];
      await shim
        .create([program, ...globals(root), ...words], {
          ...output,
          pidFile,
          overlay: overlay && { ...overlay, rootfs: join(bundle, "rootfs") },
          timeoutMs,
        })
        .catch((error: unknown) => {
          throw explain(error, "create");
        });
    },
    async start(container) {
      await call(container, ["start", container.id]);
    },
    async kill(container, signal, { all = false }) {
      await call(container, ["kill", ...(all ? ["--all"] : []), container.id, String(signalNumber(signal))]);
    },
    async delete(container, { force }) {
      await call(container, ["delete", ...(force ? ["--force"] : []), container.id]);
    },
    async pause(container) {
      await call(container, ["pause", container.id]);
    },
    async resume(container) {
      await call(container, ["resume", container.id]);
    },
    async update(container, resources) {
      await call(container, ["update", "--resources", "-", container.id], JSON.stringify(resources));
    },
    async pids(container) {
      const pids = await call(container, ["ps", "--format", "json", container.id]);
      return z.array(z.int()).nullable().parse(JSON.parse(pids)) ?? []; // null: it has ended just now
    },
    async exec({ root, id }, { process, terminal }) {
      const folder = join(root, id);
      return await shim
        .exec((words) => [program, ...globals(root), "exec", "--detach", ...words, id], {
          process,
          terminal,
          folder,
          timeoutMs,
        })
        .catch((error: unknown) => {
          throw explain(error, "exec");
        });
    },
    attachMonitor: (options) => shim.attach(options),
    canOverlay: (path) => shim.canOverlay(path),
  };
}

/** @throws {NexcageError} `BACKEND_UNAVAILABLE` for whatever keeps it from being run */
async function findVersion(directory: string, log: Log): Promise<string> {
  if (!existsSync(join(directory, "nexcage-shim")))
    throw new NexcageError("BACKEND_UNAVAILABLE", `runc: there is no nexcage-shim in ${directory}`, {
      hint: "build it: native/build",
    });
  try {
    const [said = ""] = (await askVersion(log)).split("\n");
    return said.replace("runc version ", "");
  } catch (error) {
    const isMissing = hasCode(error, "ENOENT");
    throw new NexcageError(
      "BACKEND_UNAVAILABLE",
      isMissing
        ? "runc: there is no runc on this host"
        : `runc: it cannot be run: ${asNexcageError(error).message}`,
      { hint: isMissing ? "install it: apt-get install runc" : "by hand: runc --version", cause: error },
    );
  }
}

/** Who only looks at what there is loads nothing for it that changes would need. */
function askVersion(log: Log): Promise<string> {
  log.debug({ arguments: ["--version"] }, program);
  return new Promise((resolve, reject) => {
    const options = { env: environment, timeout: timeoutMs, maxBuffer: 64 * 1024 };
    const child = execFile(program, ["--version"], options, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
    child.stdin?.end();
  });
}

/** Its log would go where the container's output goes; why something failed it says on stderr all the same. */
function globals(root: string): string[] {
  return ["--root", root, "--log", "/dev/null"];
}

async function run(root: string, words: string[], log: Log, input?: string): Promise<string> {
  log.debug({ arguments: words }, program);
  const { execa } = await import("execa");
  const [verb = ""] = words;
  const result = await execa(program, [...globals(root), ...words], {
    env: environment,
    extendEnv: false,
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
    detached: true, // what interrupts us does not interrupt a change half way
    cleanup: false,
    timeout: timeoutMs,
    reject: false,
  });
  if (result.code === "ENOENT")
    throw new NexcageError("BACKEND_UNAVAILABLE", "runc: there is no runc on this host", {
      hint: "install it: apt-get install runc",
    });
  if (result.code !== undefined && result.exitCode === undefined && !result.timedOut)
    throw new NexcageError("BACKEND_UNAVAILABLE", `runc: it cannot be run: ${result.code}`, {
      hint: "by hand: runc --version",
    });
  if (result.timedOut)
    throw new NexcageError("TIMED_OUT", `runc ${verb} did not end within ${timeoutMs / 1_000} s`, {
      hint: "what it was at work on may be half done: look with nexcage-agent list, and run it again",
    });
  if (result.exitCode === 0) return result.stdout;
  const end = result.signal === undefined ? `status ${result.exitCode}` : result.signal;
  const details = { stderr: result.stderr };
  throw explain(new NexcageError("RUNTIME_FAILED", `it ended with ${end}`, { details }), verb);
}

/** What runc 1.1 says, and what that is here. */
const reasons: readonly (readonly [RegExp, ErrorCode])[] = [
  [/container does not exist/, "CONTAINER_NOT_FOUND"],
  [/container with (given|that) ID already exists/i, "CONTAINER_EXISTS"],
  [/cannot start an already running container/, "CONTAINER_RUNNING"],
  [/container not running|process already finished|no such process/, "CONTAINER_NOT_RUNNING"],
  [/cannot (start|exec in) a (container that has )?(stopped|paused)/, "CONTAINER_NOT_RUNNING"],
  [/no space left on device|disk quota exceeded/i, "DISK_FULL"],
];

/** A failure with what runc said as its message. Pure. */
function explain(error: unknown, verb: string): unknown {
  if (!(error instanceof NexcageError)) return error;
  const { code, hint, details = {}, cause } = error;
  if (code !== "RUNTIME_FAILED")
    return new NexcageError(code, `${program} ${verb}: ${error.message}`, { hint, details, cause });
  const { stderr } = Details.parse(details);
  const said = (stderr.trim().split("\n").at(-1) ?? "").replace(/^(runc create|exec) failed: /, "");
  const known = reasons.find(([pattern]) => pattern.test(said))?.[1];
  const message = `${program} ${verb}: ${said || error.message}`;
  if (known !== undefined || verb !== "exec")
    return new NexcageError(known ?? "RUNTIME_FAILED", message, { details: { stderr } });
  // As a shell has it: not found, or not to be run.
  const exitCode = /executable file not found|no such file or directory/.test(said) ? 127 : 126;
  return new NexcageError("EXEC_FAILED", message, { details: { exitCode, stderr } });
}

const Details = z.object({ stderr: z.string().default("") });
