/** The program that `host.ts` starts sealed: calls libncx as the agent does, one line of JSON a call. */
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { type ExecOptions, loadNative } from "../../agent/backends/crun/native.ts";
import type { ExecSession } from "../../agent/backends/oci/exec-session.ts";
import type { ContainerRef } from "../../agent/backends/oci/oci-runtime.ts";
import { flock } from "../../agent/libc.ts";
import { NexcageError } from "../../shared/errors.ts";

const native = await loadNative(process.argv[2] ?? "");
const sessions = new Map<number, { session: ExecSession; output: string }>();

const own = {
  /** Runs to its end. */
  async run(container: ContainerRef, options: ExecOptions, input = "") {
    await using session = await native.exec(container, options);
    session.stdin.on("error", () => {}); // one that reads nothing has hung up
    session.stdin.end(input);
    const [stdout, stderr, end] = await Promise.all([
      text(session.stdout),
      session.stderr === undefined ? "" : text(session.stderr),
      session.ended,
    ]);
    return { pid: session.pid, stdout, stderr, end };
  },
  async open(container: ContainerRef, options: ExecOptions) {
    const held = { session: await native.exec(container, options), output: "" };
    held.session.stdout.setEncoding("utf8").on("data", (chunk) => {
      held.output += chunk;
    });
    sessions.set(held.session.pid, held);
    return held.session.pid;
  },
  output: (pid: number) => sessions.get(pid)?.output,
  type: (pid: number, input: string) => void sessions.get(pid)?.session.stdin.write(input),
  typeEnd: (pid: number) => void sessions.get(pid)?.session.stdin.end(),
  resize: (pid: number, rows: number, columns: number) =>
    sessions.get(pid)?.session.resize({ rows, columns }),
  ended: (pid: number) => sessions.get(pid)?.session.ended,
  close: (pid: number) => sessions.get(pid)?.session[Symbol.asyncDispose](),
  signal: (pid: number, signal: string) => process.kill(pid, signal),
  descriptors: () => readdirSync("/proc/self/fd").length,
  residentBytes: () => {
    globalThis.gc?.();
    return process.memoryUsage.rss();
  },
  flock,
  /** Many calls without a line of JSON for each. */
  async repeat(times: number, method: "state", container: ContainerRef) {
    for (let i = 0; i < times; i++) await native[method](container);
  },
  async repeatLife(times: number, container: ContainerRef, bundle: string) {
    for (let i = 0; i < times; i++) {
      await native.create(container, { bundle, output: { kind: "discard" } });
      await native.start(container);
      await native.delete(container, { force: true });
    }
  },
  exit: () => process.exit(0),
};

const methods = new Map<string, (...args: never[]) => unknown>(
  Object.entries({ ...native, ...own }) as never,
);

function answer(id: number, fields: object): void {
  process.stdout.write(`${JSON.stringify({ id, ...fields })}\n`);
}

async function handle(line: string): Promise<void> {
  const { id, method, args } = JSON.parse(line);
  try {
    answer(id, { result: (await methods.get(method)?.(...(args as never[]))) ?? null });
  } catch (error) {
    answer(id, { error: error instanceof NexcageError ? error.toJSON() : { message: String(error) } });
  }
}

createInterface({ input: process.stdin }).on("line", (line) => void handle(line));
