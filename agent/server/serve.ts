import type { Runtime } from "../runtime.ts";
import { serveSession } from "./session.ts";

/**
 * `nexcage-agent serve --stdio`: one session over this process's own stdin and stdout. Returns when it
 * has ended and what was in flight is done.
 */
export async function serve(options: {
  openRuntime: () => Promise<Runtime>;
  signal: AbortSignal;
}): Promise<void> {
  const { openRuntime, signal } = options;
  await using runtime = await openRuntime();
  await serveSession({ input: process.stdin, output: process.stdout, runtime, signal });
}
