import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { Status } from "../../shared/oci.ts";
import type { ChangeOptions } from "../runtime.ts";
import { type Attempt, operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { requireSubject, type Subject } from "./subject.ts";

export function startContainer(parts: Parts, id: ContainerId, options: ChangeOptions): Promise<Change> {
  return operate(parts, { kind: "start", id }, options, async (attempt) => {
    const subject = await requireSubject(parts, id, options);
    const { backend, before } = subject;
    const { status } = before.state;
    if (status === "running") return { changed: false, container: before };
    if (status === "stopped") requireMadeHere(subject);
    await backend.requireReady?.(id, { ...options, writes: true });
    await attempt.begin();
    if (status === "paused") await backend.resume(id);
    else await startFrom(status, subject, { parts, attempt, signal: options.signal });
    return { changed: true, container: await parts.inspector.settled(id) };
  });
}

/** @throws {NexcageError} `CONTAINER_NOT_RUNNING` for one that could not be made again */
export function requireMadeHere({ id, record }: Subject): void {
  if (record !== undefined) return;
  throw new NexcageError(
    "CONTAINER_NOT_RUNNING",
    `container ${id} has stopped, and was not made by this agent`,
    { hint: `delete it, and create it again: nexcage-agent delete ${id}` },
  );
}

/** An OCI container starts once: one that has stopped is made again, over the files that it had. */
export async function startFrom(
  status: Status,
  { id, backend, record }: Subject,
  { parts, attempt, signal }: { parts: Parts; attempt: Attempt; signal: AbortSignal },
): Promise<void> {
  if (status === "stopped" && record !== undefined) {
    attempt.undo(() => backend.stopNow(id));
    await backend.stopNow(id);
    await backend.create(record.spec, { files: "kept", signal, onStep: attempt.step });
  }
  await attempt.step("starting");
  await backend.start(id);
  await attempt.step("recording");
  if (record !== undefined) await parts.records.write({ ...record, startedAt: parts.now().toISOString() });
  attempt.stands();
}
