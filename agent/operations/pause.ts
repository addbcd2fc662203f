import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { requireSubject } from "./subject.ts";

/** What each makes of a container, and of which one. */
const changes = {
  pause: { from: "running", to: "paused", step: "pausing" },
  resume: { from: "paused", to: "running", step: "resuming" },
} as const;

/** Freezes all its processes, or lets them go on. @throws {NexcageError} `CONTAINER_NOT_RUNNING` */
export function pauseOrResume(
  parts: Parts,
  id: ContainerId,
  { kind, ...options }: ChangeOptions & { kind: keyof typeof changes },
): Promise<Change> {
  const { from, to, step } = changes[kind];
  return operate(parts, { kind, id }, options, async (attempt) => {
    const { backend, before } = await requireSubject(parts, id, options);
    const { status } = before.state;
    if (status === to) return { changed: false, container: before };
    if (status !== from)
      throw new NexcageError("CONTAINER_NOT_RUNNING", `container ${id} is ${status}, and cannot ${kind}`, {
        hint: `start it first: nexcage-agent start ${id}`,
      });
    // Whoever works on a guest may have frozen it.
    await backend.requireReady?.(id, { ...options, writes: false });
    await attempt.begin();
    await attempt.step(step);
    await backend[kind](id);
    return { changed: true, container: await parts.inspector.settled(id) };
  });
}
