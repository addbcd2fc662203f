import { setTimeout as sleep } from "node:timers/promises";

/**
 * Looks until it is so: at once, soon again, then every `pollMs` (200). False when it is not so after `timeoutMs`.
 * @throws what `signal` was aborted with
 */
export async function waitUntil(
  isSo: () => boolean,
  { timeoutMs, pollMs = 200, signal }: { timeoutMs: number; pollMs?: number; signal: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, pollMs)) {
    if (isSo()) return true;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return false;
    await sleep(Math.min(waitMs, leftMs), undefined, { signal });
  }
}
