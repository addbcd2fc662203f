import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import type { Backend, ExecSession, Live } from "../../agent/backends/backend.ts";
import { readJson } from "../../agent/state/files.ts";
import { NexcageError } from "../../shared/errors.ts";
import { ContainerId } from "../../shared/ids.ts";
import { ContainerSpec } from "../../shared/spec.ts";

const Kept = z.object({ spec: ContainerSpec, pid: z.int().optional() });
type Kept = z.infer<typeof Kept>;

/**
 * Containers that are processes of this machine without any isolation: for machines that can make no
 * namespaces. Its own files are below `folder`, so that they outlive the agent's process.
 */
export function processBackend(folder: string): Backend {
  const kept = (id: ContainerId): string => join(folder, `${id}.json`);
  const ended = (id: ContainerId): string => join(folder, `${id}.ended`);
  const output = (id: ContainerId): string => join(folder, `${id}.out`);
  const read = (id: ContainerId): Kept | undefined => readJson(kept(id), Kept, "end the demo");
  const write = (id: ContainerId, container: Kept): Promise<void> =>
    writeFile(kept(id), JSON.stringify(container));

  async function observe(id: ContainerId): Promise<Live | undefined> {
    const container = read(id);
    if (container === undefined) return undefined;
    const { pid } = container;
    if (pid === undefined) return { status: "created", pid: 0 };
    const status = await readFile(ended(id), "utf8").catch(() => undefined);
    if (status === undefined && isAlive(pid)) return { status: "running", pid, monitor: "alive" };
    const finishedAt = new Date().toISOString();
    return { status: "stopped", pid: 0, exit: { exitCode: Number(status ?? 137), finishedAt } };
  }

  async function end(id: ContainerId, signal: NodeJS.Signals): Promise<void> {
    const live = await observe(id);
    if (live !== undefined && live.pid > 0) signalGroup(live.pid, signal);
  }

  async function stopNow(id: ContainerId): Promise<void> {
    await end(id, "SIGKILL");
    for (const path of [kept(id), ended(id)]) await rm(path, { force: true });
  }

  return {
    name: "crun",
    untraced: "stopped",
    features: async () => ({
      name: "crun",
      available: true,
      version: "simulated: processes without isolation",
    }),
    observe,
    async observeAll() {
      const names = await readdir(folder).catch(() => []);
      const ids = names.flatMap((name) =>
        name.endsWith(".json") ? [ContainerId.parse(name.slice(0, -5))] : [],
      );
      const all = await Promise.all(ids.map(async (id) => [id, await observe(id)] as const));
      return new Map(all.flatMap(([id, live]) => (live === undefined ? [] : [[id, live] as const])));
    },
    async waitForEnd(id, { timeoutMs, signal }) {
      const deadline = performance.now() + timeoutMs;
      while ((await observe(id))?.status === "running") {
        if (performance.now() > deadline) return false;
        await sleep(20, undefined, { signal });
      }
      return true;
    },
    check: async () => {},
    async create(spec) {
      await mkdir(folder, { recursive: true });
      await rm(ended(spec.id), { force: true });
      await write(spec.id, { spec });
    },
    async start(id) {
      const container = read(id);
      if (container === undefined)
        throw new NexcageError("CONTAINER_NOT_FOUND", `container ${id} does not exist`);
      await using log = await open(output(id), "a");
      const child = spawn(
        "sh",
        [
          "-c",
          'end=$1; shift; "$@"; echo $? >"$end"',
          "sh",
          ended(id),
          ...(container.spec.command ?? ["true"]),
        ],
        {
          detached: true,
          stdio: ["ignore", log.fd, log.fd],
          env: { ...process.env, ...container.spec.environment },
        },
      );
      child.unref();
      await once(child, "spawn");
      await write(id, { ...container, ...(child.pid !== undefined && { pid: child.pid }) });
    },
    kill: (id, signal) => end(id, signal as NodeJS.Signals), // the runtime gives names that exist
    stopNow,
    retire: stopNow,
    restore: stopNow,
    undoReplacement: stopNow,
    discard: async () => {},
    async delete(id) {
      await stopNow(id);
      await rm(output(id), { force: true });
    },
    settle: async () => {},
    watch: async () => {},
    async update(spec) {
      const container = read(spec.id);
      if (container !== undefined) await write(spec.id, { ...container, spec });
    },
    pause: (id) => end(id, "SIGSTOP"),
    resume: (id) => end(id, "SIGCONT"),
    async ps(id) {
      const live = await observe(id);
      const command = read(id)?.spec.command?.join(" ") ?? "";
      return live === undefined || live.pid === 0
        ? []
        : [{ pid: live.pid, ppid: 1, uid: process.getuid?.() ?? 0, command }];
    },
    exec: async (_id, { command, environment }) => startProcess(command, { ...process.env, ...environment }),
    async *logs(id) {
      const text = await readFile(output(id), "utf8").catch(() => "");
      const time = new Date().toISOString();
      const lines = text.split("\n").slice(0, -1);
      if (lines.length > 0) yield lines.map((line) => ({ time, stream: "stdout" as const, text: line }));
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended just now.
  }
}

function startProcess([program = "true", ...args]: string[], env: NodeJS.ProcessEnv): ExecSession {
  const child = spawn(program, args, { env, stdio: "pipe" });
  const exit = Promise.withResolvers<{ exitCode?: number; signal?: number }>();
  child.on("error", () => exit.resolve({ exitCode: 127 }));
  child.on("close", (code, name) =>
    exit.resolve(name === null ? { exitCode: code ?? 1 } : { signal: constants.signals[name] }),
  );
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exit: exit.promise,
    resize: async () => {},
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
    },
  };
}
