import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import * as z from "zod";
import type { TerminalSize } from "./oci-runtime.ts";

/** How a process ended; `lost`: who watched it was killed, so nobody knows. */
export type ProcessEnd =
  | { kind: "exited"; exitCode: number }
  | { kind: "signalled"; signal: number }
  | { kind: "lost" };

/** A process that `exec` started. When this program ends, however it does, the process is killed. */
export type ExecSession = AsyncDisposable & {
  /** Its pid on the host. */
  pid: number;
  /** With a terminal its end is typed as ^D. */
  stdin: Writable;
  stdout: Readable;
  /** Undefined with a terminal: it is in `stdout` then. */
  stderr: Readable | undefined;
  /** Output may still come after it. Never rejects. */
  ended: Promise<ProcessEnd>;
  /** Without a terminal it does nothing. */
  resize(size: TerminalSize): void;
};

/** What ncx_exec gives (native/ncx.h): descriptors that are ours to close. `stderr` is -1 with a terminal. */
export type SessionDescriptors = {
  pid: number;
  stdin: number;
  stdout: number;
  stderr: number;
  control: number;
};

const End = z.union([z.object({ exitCode: z.int() }), z.object({ signal: z.int() })]);

/** Takes the descriptors over. Disposing kills the process where it still runs. */
export function openSession(descriptors: SessionDescriptors): ExecSession {
  const control = new Socket({ fd: descriptors.control, readable: true, writable: true });
  const stdin = new Socket({ fd: descriptors.stdin, readable: false, writable: true });
  const stdout = reader(descriptors.stdout);
  const stderr = descriptors.stderr < 0 ? undefined : reader(descriptors.stderr);
  return {
    pid: descriptors.pid,
    stdin,
    stdout,
    stderr,
    ended: readEnd(control),
    resize({ rows, columns }) {
      if (stderr === undefined && control.writable) control.write(`${rows} ${columns}\n`);
    },
    async [Symbol.asyncDispose]() {
      for (const stream of [control, stdin, stdout, stderr]) stream?.destroy();
    },
  };
}

function reader(fd: number): Readable {
  return new Socket({ fd, readable: true, writable: false });
}

/** One line, and later the end of the socket, when the output has been passed on. */
function readEnd(control: Socket): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    let text = "";
    control.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (text.endsWith("\n")) resolve(parseEnd(text));
    });
    control.on("error", () => resolve({ kind: "lost" }));
    control.on("close", () => resolve({ kind: "lost" }));
  });
}

function parseEnd(text: string): ProcessEnd {
  const end = End.parse(JSON.parse(text));
  return "exitCode" in end
    ? { kind: "exited", exitCode: end.exitCode }
    : { kind: "signalled", signal: end.signal };
}
