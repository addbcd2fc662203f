import type { Change } from "../../shared/container.ts";
import { changedFields, shrinks } from "../../shared/costs.ts";
import { withDrift } from "../../shared/drift.ts";
import { NexcageError } from "../../shared/errors.ts";
import { type ContainerSpec, type SnapshotPolicy, specDigest } from "../../shared/spec.ts";
import type { ChangeOptions } from "../runtime.ts";
import { type Attempt, operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { endLive } from "./running.ts";
import { requireSubject, type Subject } from "./subject.ts";

export type UpdateOptions = ChangeOptions & {
  /** Whether how it was is kept first, for a person to go back to (`none`). */
  snapshot?: SnapshotPolicy | undefined;
};

/** Changes what can change while a container lives, by the table in shared/costs.ts. */
export function updateContainer(parts: Parts, spec: ContainerSpec, options: UpdateOptions): Promise<Change> {
  const { id } = spec;
  return operate(parts, { kind: "update", id }, options, async (attempt) => {
    const { inspector, records, now, log } = parts;
    const subject = await requireSubject(parts, id, options);
    const { backend, before, record } = subject;
    if (record === undefined)
      throw new NexcageError(
        "SPEC_REFUSED",
        `container ${id} was not made by this agent, and has no spec to update`,
      );
    // What somebody else has changed is put back.
    const drifted = before.drift ?? [];
    const changes = changedFields(withDrift(record.spec, drifted), spec);
    const cold = changes.filter(({ cost }) => cost === "recreate").map(({ field }) => field);
    if (cold.length > 0)
      throw new NexcageError(
        "SPEC_REFUSED",
        `${cold.join(", ")} of container ${id} cannot change while it lives`,
        {
          hint: "replace it; nexcage fleet plan says which change costs what",
          details: { fields: cold },
        },
      );
    for (const { word, before: old, after } of shrinks(record.spec, spec, { rootfs: "kept" }))
      throw new NexcageError(
        "SPEC_REFUSED",
        `${word} of container ${id} cannot shrink from ${old} to ${after} bytes`,
      );
    if (changes.length === 0 && changedFields(record.spec, spec).length === 0)
      return { changed: false, container: before };
    await backend.requireReady?.(id, { ...options, writes: true });

    await attempt.begin();
    const isLive = before.state.status !== "stopped";
    let hasChanged = false;
    attempt.undo(async () => {
      // While it is not put back, a person may need the snapshot.
      if (hasChanged) await backend.update(record.spec, { isLive, before: spec });
      await backend.removeSnapshots?.(id, { of: options.operationId });
    });
    const without = await keepSnapshot(subject, options, attempt);
    await attempt.step(without === undefined ? "updating" : `without a snapshot: ${without}`);
    hasChanged = true;
    await backend.update(spec, { isLive, before: record.spec });
    const updated = { ...record, spec, digest: specDigest(spec), operationId: options.operationId };
    await attempt.step("recording");
    await records.write(updated);
    attempt.stands();
    // One that is paused too: what a guest's next start is to bring would else wait there, told by nobody.
    const { status } = before.state;
    if ((status === "running" || status === "paused") && changes.some(({ cost }) => cost === "restart")) {
      await attempt.step("stopping");
      await endLive(subject, options);
      await attempt.step("starting");
      await backend.start(id);
      await records.write({ ...updated, startedAt: now().toISOString() });
    }
    await backend
      .removeSnapshots?.(id, { otherThan: options.operationId })
      .catch((err: unknown) => log.warn({ err, containerId: id }, "could not remove an earlier snapshot"));
    return { changed: true, container: await inspector.settled(id) };
  });
}

/**
 * @returns why there is none, where there need not be one
 * @throws {NexcageError} `REFUSED` where there must be one and cannot; nothing is changed then
 */
async function keepSnapshot(
  { id, backend }: Subject,
  { snapshot = "none", operationId }: UpdateOptions,
  attempt: Attempt,
): Promise<string | undefined> {
  if (snapshot === "none") return undefined;
  await attempt.step("taking a snapshot");
  const reason =
    backend.snapshot === undefined
      ? `${backend.name} makes no snapshots`
      : await backend.snapshot(id, operationId);
  if (reason === undefined || snapshot === "auto") return reason;
  throw new NexcageError("REFUSED", `container ${id} must have a snapshot first: ${reason}`, {
    hint: "a storage that can (zfspool, lvmthin, btrfs, rbd) and no bind mounts; or say update: {snapshot: auto}",
  });
}
