import { setTimeout as sleep } from "node:timers/promises";
import { LockHolder } from "../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import { formatDuration } from "../../shared/units.ts";
import type { Emit } from "../events.ts";
import type { OpenFleet } from "../fleet.ts";

export type LockOptions = {
  fleet: string;
  holder: LockHolder;
  /** How long to wait for another holder, in ms; 0 does not wait. */
  waitMs: number;
  emit: Emit;
  signal: AbortSignal;
};

/**
 * Takes the fleet's lock on all of its hosts, or on none: two controllers that ask in different orders
 * cannot hold each other up. The locks end with the agents' sessions.
 * @throws {NexcageError} `LOCK_HELD`, with who holds it
 */
export async function lockHosts(opened: OpenFleet, options: LockOptions): Promise<void> {
  const { fleet, holder, waitMs, emit, signal } = options;
  const deadline = performance.now() + waitMs;
  let said = false;
  for (;;) {
    const held = await tryLock(opened, options);
    if (held === undefined) return;
    const { host, error } = held;
    const other = holderOf(error);
    await Promise.all([...opened.agents.values()].map((agent) => agent.unlock({ signal })));
    if (performance.now() >= deadline) throw lockHeld({ fleet, host, other, error, waitMs });
    if (!said) emit({ kind: "lock.waiting", host, holder: other });
    said = true;
    // Jitter by who we are: two that wait for each other do not come back at the same time.
    await sleep(200 + ((holder.pid * 37) % 200) + Math.random() * 200, undefined, { signal });
  }
}

async function tryLock(
  opened: OpenFleet,
  { fleet, holder, signal }: LockOptions,
): Promise<{ host: string; error: NexcageError } | undefined> {
  let held: { host: string; error: NexcageError } | undefined;
  await Promise.all(
    [...opened.agents].map(async ([name, agent]) => {
      try {
        await agent.lock(fleet, holder, { signal });
      } catch (cause) {
        signal.throwIfAborted();
        const error = asNexcageError(cause);
        if (error.code === "LOCK_HELD") held ??= { host: name, error };
        else await opened.drop(name, error);
      }
    }),
  );
  return held;
}

function holderOf(error: NexcageError): LockHolder | undefined {
  const parsed = LockHolder.safeParse(error.details?.holder);
  return parsed.success ? parsed.data : undefined;
}

function lockHeld(held: {
  fleet: string;
  host: string;
  other: LockHolder | undefined;
  error: NexcageError;
  waitMs: number;
}): NexcageError {
  const { fleet, host, other, error, waitMs } = held;
  const who = other === undefined ? "another controller" : `${other.user}@${other.host} (pid ${other.pid})`;
  const since = other === undefined ? "" : ` since ${other.since}`;
  const waited = waitMs > 0 ? `, also after ${formatDuration(waitMs)}` : "";
  return new NexcageError(
    "LOCK_HELD",
    `the lock of fleet ${fleet} on ${host} is held by ${who}${since}${waited}`,
    {
      hint: "wait for it with --lock-timeout 5m, or end it there",
      details: { host, fleet, ...(other !== undefined && { holder: other }) },
      cause: error,
    },
  );
}
