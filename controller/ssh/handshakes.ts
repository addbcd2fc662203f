import { setTimeout as sleep } from "node:timers/promises";
import PQueue from "p-queue";
import type { NexcageError } from "../../shared/errors.ts";

export type Attempt<T> = { kind: "open"; value: T } | { kind: "dropped"; error: NexcageError };

/** From the tenth on, an sshd with its own `MaxStartups` (10:30:100) drops some. */
const inProgressPerSshd = 8;
const maxTries = 6;

/**
 * Keeps the handshakes in progress with each sshd below what it drops, and tries again those that it dropped
 * all the same (others log in too). Nothing else is tried again, authentication least of all.
 */
export class Handshakes {
  readonly #queues = new Map<string, PQueue>();

  /** `sshd` tells which others count. */
  async run<T>(
    sshd: string,
    attempt: () => Promise<Attempt<T>>,
    { signal }: { signal: AbortSignal },
  ): Promise<T> {
    const queue = this.#queues.get(sshd) ?? new PQueue({ concurrency: inProgressPerSshd });
    this.#queues.set(sshd, queue);
    for (let tries = 1; ; tries++) {
      const outcome = await queue.add(attempt, { signal });
      if (outcome.kind === "open") return outcome.value;
      if (tries === maxTries) throw outcome.error;
      // Jitter, so that those dropped together do not come back together.
      await sleep(100 + Math.random() * 150 * 2 ** tries, undefined, { signal });
    }
  }
}
