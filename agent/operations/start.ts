import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { requireSubject } from "./subject.ts";

/** An OCI container starts once: one that has stopped is made again, over the files that it had. */
export function startContainer(parts: Parts, id: ContainerId, options: ChangeOptions): Promise<Change> {
  return operate(parts, { kind: "start", id }, options, async (attempt) => {
    const { inspector, records, now } = parts;
    const { backend, before, record } = await requireSubject(parts, id, options);
    const { status } = before.state;
    if (status === "running") return { changed: false, container: before };
    if (status === "stopped" && record === undefined)
      throw new NexcageError(
        "CONTAINER_NOT_RUNNING",
        `container ${id} has stopped, and was not made by this agent`,
        {
          hint: `delete it, and create it again: nexcage-agent delete ${id}`,
        },
      );
    await backend.requireReady?.(id, { ...options, writes: true });
    await attempt.begin();
    if (status === "paused") await backend.resume(id);
    else {
      if (status === "stopped" && record !== undefined) {
        attempt.undo(() => backend.stopNow(id));
        await backend.stopNow(id);
        await backend.create(record.spec, { files: "kept", signal: options.signal, onStep: attempt.step });
      }
      await attempt.step("starting");
      await backend.start(id);
      await attempt.step("recording");
      if (record !== undefined) await records.write({ ...record, startedAt: now().toISOString() });
      attempt.stands();
    }
    return { changed: true, container: await inspector.settled(id) };
  });
}
