import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 100;

/** Looks until it is so; false when it is not in time. */
export async function waitUntil(
  isSo: () => boolean,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (isSo()) return true;
    if (performance.now() >= deadline) return false;
    await sleep(pollMs, undefined, { signal });
  }
}
