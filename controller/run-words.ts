import { untilAborted } from "./abort.ts";
import type { Transport } from "./transport.ts";

/** How a program that is no agent ended, and what it said. */
export type RunResult = { code: number | undefined; stdout: string; stderr: string };

/**
 * Runs a program on a host to its end, with nothing on its stdin.
 * @throws {NexcageError} what its connection throws; not for how the program ended
 */
export async function runWords(
  transport: Transport,
  words: string[],
  { signal }: { signal: AbortSignal },
): Promise<RunResult> {
  const channel = await transport.openAgent(words, { signal });
  try {
    channel.stdin.on("error", () => {}); // it reads nothing
    channel.stdin.end();
    const ended = Promise.all([channel.stdout.toArray(), channel.stderr.toArray(), channel.exited]);
    const [stdout, stderr, { code, error }] = await untilAborted(ended, signal);
    if (error !== undefined) throw error;
    return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
  } finally {
    channel.destroy();
  }
}
