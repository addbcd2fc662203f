import type { Change } from "../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { removeAll } from "./remove-all.ts";
import { endBeforeRemoval } from "./running.ts";
import { requireSubject, type Subject } from "./subject.ts";

export type DeleteOptions = ChangeOptions & {
  force?: boolean | undefined;
  gracePeriodMs?: number | undefined;
};

export function deleteContainer(parts: Parts, id: ContainerId, options: DeleteOptions): Promise<Change> {
  return operate(parts, { kind: "delete", id }, options, async (attempt) => {
    const subject = await findSubject(parts, id, options);
    if (subject !== undefined) {
      requireDeletable(subject, options);
      await subject.backend.checkRemoval?.(id);
      await subject.backend.requireReady?.(id, { ...options, writes: true });
    }
    await attempt.begin();
    if (subject !== undefined) {
      await attempt.step("stopping");
      await endBeforeRemoval(subject, options);
    }
    await attempt.step("deleting");
    await removeAll(parts, id, attempt.step);
    return { changed: true };
  });
}

/** Undefined for one whose record cannot be read, which only `force` deletes, and no fleet owns. */
async function findSubject(
  parts: Parts,
  id: ContainerId,
  { force, fleet }: DeleteOptions,
): Promise<Subject | undefined> {
  try {
    return await requireSubject(parts, id, { fleet });
  } catch (error) {
    const { code } = asNexcageError(error);
    if (code !== "STATE_CORRUPT" || force !== true || fleet !== undefined) throw error;
    return undefined;
  }
}

function requireDeletable({ id, before }: Subject, { force }: DeleteOptions): void {
  const { status } = before.state;
  if (status === "stopped" || status === "created" || force === true) return;
  throw new NexcageError("CONTAINER_RUNNING", `container ${id} is ${status}`, {
    hint: `stop it first, or end it at once: nexcage-agent delete --force ${id}`,
  });
}
