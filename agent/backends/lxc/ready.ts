import { NexcageError } from "../../../shared/errors.ts";
import type { OnStep } from "../backend.ts";
import { waitUntil } from "../wait-until.ts";
import { readGuest } from "./guests.ts";
import { workersOf } from "./pct.ts";

/** A backup, a snapshot or a task that has the guest is waited for so long. */
const busyTimeoutMs = 60_000;

/** Who has a guest, in words; undefined where nobody has. `mounted` is no lock to pct. */
function busyWith(vmid: number): string | undefined {
  const lock = readGuest(vmid)?.config.values.get("lock");
  if (lock !== undefined && lock !== "mounted") return `guest ${vmid} is locked by Proxmox (${lock})`;
  const [task] = workersOf(vmid);
  return task && `Proxmox is at work on guest ${vmid} (${task.type}, pid ${task.pid})`;
}

/**
 * Waits for who has the guest: a backup, a snapshot, a migration, a task. It is never unlocked by us.
 * @throws {NexcageError} `LOCK_HELD`
 */
export async function untilReady(
  vmid: number,
  { onStep, signal }: { onStep?: OnStep | undefined; signal: AbortSignal },
): Promise<void> {
  const reason = busyWith(vmid);
  if (reason === undefined) return;
  await onStep?.(`waiting: ${reason}`);
  if (await waitUntil(() => busyWith(vmid) === undefined, { timeoutMs: busyTimeoutMs, signal })) return;
  throw new NexcageError("LOCK_HELD", busyWith(vmid) ?? reason, {
    hint: `wait until that has ended: pct config ${vmid}; nexcage never unlocks a guest`,
  });
}
