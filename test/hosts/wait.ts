import { setTimeout as sleep } from "node:timers/promises";
import { NexcageError } from "../../shared/errors.ts";

export type WaitOptions = { what: string; timeoutMs: number; signal?: AbortSignal | undefined };

/**
 * Asks every few milliseconds until the answer is not undefined.
 * @throws {NexcageError} `TIMED_OUT`, naming `what`
 */
export async function waitFor<T>(
  ask: () => T | undefined | Promise<T | undefined>,
  { what, timeoutMs, signal }: WaitOptions,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new NexcageError("TIMED_OUT", `${what}: not within ${timeoutMs} ms`);
    await sleep(5, undefined, signal && { signal });
  }
}
