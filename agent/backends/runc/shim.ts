import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { hasCode, NexcageError } from "../../../shared/errors.ts";
import { openPipe, openSocketPair } from "../../libc.ts";
import type { Log } from "../../log.ts";
import { type ExecSession, openSession } from "../oci/exec-session.ts";
import { type FailureKind, failureKinds } from "../oci/failure-kinds.ts";
import type { AttachOptions, Monitored, TerminalSize } from "../oci/oci-runtime.ts";

export type ShimOptions = { environment: Record<string, string>; log: Log };

type CreateOptions = Monitored & {
  /** Where the program writes the init's pid. */
  pidFile: string;
  /** Mounted on `rootfs` for the program and the container alone. */
  overlay: { lower: string; upper: string; work: string; rootfs: string } | undefined;
  timeoutMs: number;
};

type ExecOptions = {
  /** `process` of the OCI runtime specification. */
  process: Record<string, unknown>;
  terminal: TerminalSize | undefined;
  /** A folder of the container's, for files that are needed for a moment. */
  folder: string;
  timeoutMs: number;
};

/** nexcage-shim (native/shim.c): runs a runtime's program so that what that starts is a child of our monitor. */
export type Shim = {
  /** @throws {NexcageError} with what the program said on stderr in `details.stderr` */
  create(program: string[], options: CreateOptions): Promise<void>;
  attach(options: AttachOptions): Promise<void>;
  /** `program` is given the words that tell it what to run and where to write its pid. */
  exec(program: (words: string[]) => string[], options: ExecOptions): Promise<ExecSession>;
  canOverlay(folder: string): Promise<boolean>;
};

/** @param directory where nexcage-shim and nexcage-monitor are */
export function openShim(directory: string, { environment, log }: ShimOptions): Shim {
  const path = join(directory, "nexcage-shim");
  const monitor = join(directory, "nexcage-monitor");
  let execs = 0;

  /** Starts it, and leaves it: what it becomes outlives us. `fds` are its stdin, stdout and stderr, and CONTROL. */
  async function ask(words: string[], fds?: [number, number, number, number]): Promise<number> {
    log.debug({ arguments: words }, "nexcage-shim");
    const [stdin, stdout, stderr, ...control] = fds ?? (["ignore", "ignore", "ignore"] as const);
    let child: ChildProcess;
    try {
      child = spawn(path, words, {
        stdio: [stdin, stdout, stderr, "pipe", ...control],
        env: environment,
        cwd: "/",
        detached: true,
      });
    } finally {
      for (const fd of fds ?? []) closeSync(fd);
    }
    child.unref();
    return parseAnswer(await answerOf(child));
  }

  const monitored = ({ ioPath, logPath, logMaxBytes, exitRecordPath }: Monitored): string[] => [
    monitor,
    ioPath,
    logPath,
    String(logMaxBytes),
    exitRecordPath,
  ];
  return {
    async create(program, { pidFile, overlay, timeoutMs, ...options }) {
      const { lower, upper, work, rootfs } = overlay ?? { lower: "", upper: "", work: "", rootfs: "" };
      const words = [...monitored(options), pidFile, String(timeoutMs), lower, upper, work, rootfs];
      await ask(["create", ...words, ...program]);
    },
    async attach({ pid, ...options }) {
      await ask(["attach", ...monitored(options), String(pid)]);
    },
    async exec(program, { process: wanted, terminal, folder, timeoutMs }) {
      const name = `exec-${process.pid}-${execs++}`;
      const file = join(folder, `${name}.json`);
      const pidFile = join(folder, `${name}.pid`);
      const console = terminal === undefined ? "" : `${name}.tty`;
      const words = ["--process", file, "--pid-file", pidFile];
      if (terminal !== undefined) words.push("--console-socket", console);
      writeProcess(file, { ...wanted, ...(terminal && { consoleSize: sizeOf(terminal) }) });
      const [stdin, stdout, stderr] = [await openPipe(), await openPipe(), await openPipe()];
      const [control, theirs] = await openSocketPair();
      // Who opens a session with them closes them.
      const ours = { control, stdin: stdin.write, stdout: stdout.read, stderr: stderr.read };
      try {
        const pid = await ask(
          ["exec", monitor, folder, console, pidFile, String(timeoutMs), ...program(words)],
          [stdin.read, stdout.write, stderr.write, theirs],
        );
        if (terminal === undefined) return openSession({ ...ours, pid });
        closeSync(stderr.read);
        return openSession({ ...ours, pid, stderr: -1 });
      } catch (error) {
        await using failed = openSession({ ...ours, pid: 0 });
        if (!(error instanceof NexcageError) || failed.stderr === undefined) throw error;
        const { code, message, hint, cause } = error;
        const said = await textWithin(failed.stderr, { timeoutMs: 1_000 });
        throw new NexcageError(code, message, { hint, cause, details: { stderr: said.slice(-2048) } });
      } finally {
        rmSync(file, { force: true });
      }
    },
    async canOverlay(folder) {
      return (await ask(["overlay", folder])) === 1;
    },
  };
}

function sizeOf({ rows, columns }: TerminalSize): { height: number; width: number } {
  return { height: rows, width: columns };
}

/** Root's alone: it has the environment in it. */
function writeProcess(file: string, wanted: Record<string, unknown>): void {
  try {
    writeFileSync(file, JSON.stringify(wanted), { mode: 0o600 });
  } catch (cause) {
    rmSync(file, { force: true });
    if (hasCode(cause, "ENOENT"))
      throw new NexcageError("CONTAINER_NOT_RUNNING", "the container is gone", { cause });
    if (!hasCode(cause, "ENOSPC", "EDQUOT")) throw cause;
    throw new NexcageError("DISK_FULL", `no space left for ${file}`, {
      hint: `make space there: df -h ${dirname(file)}`,
      cause,
    });
  }
}

/** What comes until the end of a stream, or until then: something that was left behind may keep it open. */
async function textWithin(stream: Readable, { timeoutMs }: { timeoutMs: number }): Promise<string> {
  let said = "";
  const timer = setTimeout(() => stream.destroy(), timeoutMs);
  try {
    for await (const chunk of stream) said += chunk;
  } catch {
    // Destroyed: what has come is what there is.
  } finally {
    clearTimeout(timer);
  }
  return said;
}

async function answerOf(child: ChildProcess): Promise<string> {
  const failed = new Promise<never>((_resolve, reject) => child.once("error", reject));
  try {
    return await Promise.race([text(child.stdio[3] as Readable), failed]);
  } catch (cause) {
    if (!hasCode(cause, "ENOENT", "EACCES")) throw cause;
    throw new NexcageError("BACKEND_UNAVAILABLE", `runc: there is no ${child.spawnfile}`, {
      hint: "build it: native/build",
      cause,
    });
  }
}

/** `done NUMBER`, or a kind of failure and its message, then what the program said. */
function parseAnswer(answer: string): number {
  const [, number] = /^done (\d+)\n$/.exec(answer) ?? [];
  if (number !== undefined) return Number(number);
  const [, kind = "failed", message = "it ended without an answer", stderr = ""] =
    /^([a-z]+) ([^\n]*)\n(.*)$/s.exec(answer) ?? [];
  throw new NexcageError(failureKinds[kind as FailureKind] ?? "RUNTIME_FAILED", message, {
    details: { stderr },
  });
}
