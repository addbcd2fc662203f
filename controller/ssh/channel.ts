import { PassThrough, type Readable } from "node:stream";
import type { ClientChannel } from "ssh2";
import { NexcageError } from "../../shared/errors.ts";
import type { AgentChannel } from "../session.ts";

/** A stderr that nobody reads is kept up to here; what comes after is dropped. */
const unreadStderrBytes = 1024 * 1024;
/** How long streams may go on after the program has ended, or the channel been given up. */
const lingerMs = 2_000;

type Exit = Awaited<AgentChannel["exited"]>;

/**
 * An ssh2 channel as a program's stdio. Its end is known although ssh2 says `close` only when stdout was read
 * to its end, says it before stderr has ended, and never when a background child keeps them open.
 */
export function agentChannel(channel: ClientChannel, connectionLost: Promise<NexcageError>): AgentChannel {
  const exited = Promise.withResolvers<Exit>();
  const stderr = drain(channel.stderr);
  let exit: Exit | undefined;

  channel.on("exit", (code: number | null, signal?: string) => {
    exit = code === null ? { signal: signal ?? "unknown" } : { code };
    settleLater(exit);
  });
  channel.on("close", () => {
    if (exit === undefined) {
      settleLater({
        error: new NexcageError("CONNECTION_LOST", "the channel was closed before its program ended"),
      });
      return;
    }
    const ended = exit;
    if (stderr.readableEnded || channel.stderr.readableEnded) exited.resolve(ended);
    else channel.stderr.once("end", () => exited.resolve(ended));
  });
  channel.on("error", () => {}); // `close` follows, and says as much
  connectionLost.then((error) => exited.resolve(exit ?? { error })).catch(() => {});

  function settleLater(outcome: Exit): void {
    setTimeout(() => exited.resolve(outcome), lingerMs).unref();
  }

  return {
    stdin: channel,
    stdout: channel,
    stderr,
    exited: exited.promise,
    destroy() {
      channel.close();
      channel.resume(); // `close` comes only when all was read
      settleLater(
        exit ?? { error: new NexcageError("CONNECTION_LOST", "the channel was closed by nexcage") },
      );
    },
  };
}

/** Reads a stream always: unread, it would hold up stdout too, whose window it shares. */
function drain(source: Readable): Readable {
  const kept = new PassThrough({ highWaterMark: unreadStderrBytes });
  source.on("data", (chunk: Buffer) => {
    if (kept.readableLength + kept.writableLength < unreadStderrBytes) kept.write(chunk);
  });
  source.once("end", () => kept.end());
  source.once("close", () => kept.end());
  source.on("error", () => kept.end());
  return kept;
}
