import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { NexcageError } from "../../../shared/errors.ts";
import type { TerminalSize } from "./native.ts";

/** How a process ended; `lost`: who watched it was killed, nobody knows. */
export type ProcessEnd =
  | { kind: "exited"; exitCode: number }
  | { kind: "signalled"; signal: number }
  | { kind: "lost" };

/** A process that `exec` started. When this program ends, however it does, the process is killed. */
export type ExecSession = AsyncDisposable & {
  /** Its pid on the host. */
  pid: number;
  stdin: Writable;
  stdout: Readable;
  /** Undefined with a terminal: it is in `stdout` then. */
  stderr: Readable | undefined;
  ended: Promise<ProcessEnd>;
  /** With a terminal; else it does nothing. */
  resize(size: TerminalSize): Promise<void>;
};

/** What ncx_exec gives: descriptors that are now ours. With a terminal `stdout` is its master, and the two others -1. */
export type SessionDescriptors = {
  pid: number;
  stdin: number;
  stdout: number;
  stderr: number;
  end: number;
  hasTerminal: boolean;
  resize: (size: TerminalSize) => Promise<void>;
};

const End = z.union([z.object({ exitCode: z.int() }), z.object({ signal: z.int() })]);

export function openSession({ pid, stdin, stdout, stderr, end, ...rest }: SessionDescriptors): ExecSession {
  const watcher = new Socket({ fd: end, readable: true, writable: false });
  const ended = readEnd(watcher);
  const streams = rest.hasTerminal ? terminalStreams(stdout) : pipeStreams({ stdin, stdout, stderr });
  return {
    pid,
    ...streams,
    ended,
    resize: rest.hasTerminal ? rest.resize : async () => {},
    // Its watcher sees the hang-up and kills the process.
    async [Symbol.asyncDispose]() {
      watcher.destroy();
      streams.stdin.destroy();
      streams.stdout.destroy();
      streams.stderr?.destroy();
    },
  };
}

type Streams = Pick<ExecSession, "stdin" | "stdout" | "stderr">;

function pipeStreams({
  stdin,
  stdout,
  stderr,
}: Pick<SessionDescriptors, "stdin" | "stdout" | "stderr">): Streams {
  return {
    stdin: new Socket({ fd: stdin, readable: false, writable: true }),
    stdout: new Socket({ fd: stdout, readable: true, writable: false }),
    stderr: new Socket({ fd: stderr, readable: true, writable: false }),
  };
}

function terminalStreams(master: number): Streams {
  throw new NexcageError("INTERNAL", `terminal ${master}: not there yet`);
}

async function readEnd(watcher: Socket): Promise<ProcessEnd> {
  let text = "";
  try {
    for await (const chunk of watcher.setEncoding("utf8")) text += String(chunk);
  } catch {
    return { kind: "lost" };
  }
  if (text === "") return { kind: "lost" };
  const end = End.parse(JSON.parse(text));
  return "exitCode" in end
    ? { kind: "exited", exitCode: end.exitCode }
    : { kind: "signalled", signal: end.signal };
}
