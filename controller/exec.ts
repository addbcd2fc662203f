import type { ReadStream, WriteStream } from "node:tty";
import type { Observed } from "../shared/container.ts";
import { asNexcageError } from "../shared/errors.ts";
import { limits } from "../shared/protocol.ts";
import type { HostAgent } from "./fleet.ts";
import { write } from "./logs.ts";
import type { AgentSession } from "./session.ts";

export type ExecOptions = {
  command: string[];
  environment: Record<string, string>;
  user?: string | undefined;
  workingDir?: string | undefined;
  tty: boolean;
  stdin: NodeJS.ReadStream | ReadStream;
  stdout: NodeJS.WriteStream | WriteStream;
  stderr: NodeJS.WriteStream | WriteStream;
  signal: AbortSignal;
};

/**
 * Runs a command in a container with our own stdin, stdout, stderr and, with `tty`, terminal. Gives the
 * exit status that a shell would: the command's own, or 128 + its signal.
 */
export async function execInContainer(
  { container, agent }: { container: Observed; agent: HostAgent },
  options: ExecOptions,
): Promise<number> {
  const { stdin, stdout, stderr, tty, signal } = options;
  const ended = new AbortController();
  // A terminal that knows no size says 0.
  const size = () => ({ rows: stdout.rows || 24, columns: stdout.columns || 80 });
  using _raw = tty ? rawMode(stdin) : undefined;
  let forwarding: Promise<void> = Promise.resolve();
  try {
    const { exitCode, signal: killedBy } = await agent.stream(
      "container/exec",
      {
        id: container.id,
        command: options.command,
        environment: options.environment,
        ...(options.user !== undefined && { user: options.user }),
        ...(options.workingDir !== undefined && { workingDir: options.workingDir }),
        ...(tty && { tty: size() }),
      },
      {
        signal,
        sink: { onData: (channel, data) => write(channel === "stdout" ? stdout : stderr, data) },
        onStream(stream, session) {
          const resize = (): void => {
            session.request("exec/resize", { stream, size: size() }, { signal }).catch(() => {}); // it may be over
          };
          if (tty) stdout.on("resize", resize);
          ended.signal.addEventListener("abort", () => stdout.off("resize", resize));
          forwarding = forwardInput(stdin, { stream, session, signal: ended.signal });
        },
      },
    );
    return killedBy === undefined ? (exitCode ?? 1) : 128 + killedBy;
  } catch (error) {
    const status = shellStatus(error);
    if (status === undefined) throw error;
    stderr.write(`nexcage: ${asNexcageError(error).message}\n`);
    return status;
  } finally {
    ended.abort();
    stdin.destroy(); // a read of a terminal that is under way would keep the program alive
    await forwarding;
  }
}

/** What a shell would answer where a program cannot be run: 126 or 127; undefined for any other failure. */
function shellStatus(error: unknown): number | undefined {
  const { code, details } = asNexcageError(error);
  return code === "EXEC_FAILED" && typeof details?.exitCode === "number" ? details.exitCode : undefined;
}

/** Sends what stdin gives, as fast as the process takes it, until either ends. */
async function forwardInput(
  stdin: ExecOptions["stdin"],
  { stream, session, signal }: { stream: number; session: AgentSession; signal: AbortSignal },
): Promise<void> {
  const send = (input: { data?: string; end?: boolean }) =>
    session.request("exec/input", { stream, ...input }, { signal });
  try {
    for await (const chunk of stdin) {
      const data = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      for (let at = 0; at < data.length; at += limits.chunkBytes)
        await send({ data: data.subarray(at, at + limits.chunkBytes).toString("base64") });
    }
    await send({ end: true });
  } catch {
    // The process has ended, or the session: its answer says which.
  }
}

function rawMode(stdin: ExecOptions["stdin"]): Disposable {
  if (stdin.isTTY) stdin.setRawMode(true);
  return {
    [Symbol.dispose]() {
      if (stdin.isTTY && !stdin.destroyed) stdin.setRawMode(false);
    },
  };
}
