import type { Change } from "../../shared/container.ts";
import { changedFields, shrinks } from "../../shared/costs.ts";
import { withDrift } from "../../shared/drift.ts";
import { NexcageError } from "../../shared/errors.ts";
import { type ContainerSpec, specDigest } from "../../shared/spec.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { endLive } from "./running.ts";
import { requireSubject } from "./subject.ts";

/** Changes what can change while a container lives, by the table in shared/costs.ts. */
export function updateContainer(parts: Parts, spec: ContainerSpec, options: ChangeOptions): Promise<Change> {
  const { id } = spec;
  return operate(parts, { kind: "update", id }, options, async (attempt) => {
    const { inspector, records, now } = parts;
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
    await attempt.step("updating");
    attempt.undo(() => backend.update(record.spec, { isLive, before: spec }));
    await backend.update(spec, { isLive, before: record.spec });
    const updated = { ...record, spec, digest: specDigest(spec), operationId: options.operationId };
    await attempt.step("recording");
    await records.write(updated);
    attempt.stands();
    if (before.state.status === "running" && changes.some(({ cost }) => cost === "restart")) {
      await attempt.step("stopping");
      await endLive(subject, options);
      await attempt.step("starting");
      await backend.start(id);
      await records.write({ ...updated, startedAt: now().toISOString() });
    }
    return { changed: true, container: await inspector.settled(id) };
  });
}
