import { closeSync, readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Observed } from "../../shared/container.ts";
import type { Runtime } from "../runtime.ts";
import { isNoting, noteUnrepeatable, takeReadings } from "../state/readings.ts";
import type { LastLook } from "./last-look.ts";
import { serveSession } from "./session.ts";

/**
 * `nexcage-agent serve --stdio`: one session over this process's own stdin and stdout. Returns when it
 * has ended and what was in flight is done.
 */
export async function serve(options: {
  openRuntime: () => Promise<Runtime>;
  signal: AbortSignal;
  /** What native/oci/serve.c has begun: `unread` is a descriptor of what it has read of stdin, and not answered. */
  begun?: { unread: number; isGreeted: boolean; locks: ReadonlyMap<string, AsyncDisposable> } | undefined;
  /** Told what was answered first, where it was made of nothing but what was noted (agent/state/readings.ts). */
  keepLook?: ((look: LastLook) => void) | undefined;
}): Promise<void> {
  const { openRuntime, signal, begun, keepLook } = options;
  await using runtime = await openRuntime();
  const input = process.stdin;
  if (begun !== undefined) {
    input.unshift(readFileSync(begun.unread));
    closeSync(begun.unread);
  }
  let keeping: Promise<void> | undefined;
  const keep = async (containers: Observed[]): Promise<void> => {
    await nextTurn(); // the answer comes first
    if (!isNoting()) return;
    try {
      const hello = runtime.hello();
      const readings = takeReadings();
      if (readings !== undefined) keepLook?.({ hello, containers, readings });
    } catch {
      noteUnrepeatable(); // what was answered is right all the same
    }
  };
  await serveSession({
    input,
    output: process.stdout,
    runtime,
    signal,
    begun,
    onListed(containers) {
      keeping ??= keep(containers);
    },
  });
  await keeping;
}
