import type { Change } from "../../shared/container.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { endLive, type StopOptions } from "./running.ts";
import { requireMadeHere, startFrom } from "./start.ts";
import { requireSubject } from "./subject.ts";

/** Stops it as `stop` does, and starts it; one that does not run is only started. */
export function restartContainer(
  parts: Parts,
  id: ContainerId,
  options: ChangeOptions & StopOptions,
): Promise<Change> {
  return operate(parts, { kind: "restart", id }, options, async (attempt) => {
    const subject = await requireSubject(parts, id, options);
    const { backend, before } = subject;
    const { status, pid } = before.state;
    const isLive = status === "running" || status === "paused";
    if (status !== "created") requireMadeHere(subject); // before it is stopped, to be so for good
    await backend.requireReady?.(id, { ...options, writes: true });
    await attempt.begin(isLive ? { pid } : {});
    if (isLive) {
      await attempt.step("stopping");
      await endLive(subject, options);
    }
    await startFrom(isLive ? "stopped" : status, subject, { parts, attempt, signal: options.signal });
    return { changed: true, container: await parts.inspector.settled(id) };
  });
}
