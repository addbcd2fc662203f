import type { Change } from "../../shared/container.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { endLive, killTimeoutMs, type StopOptions, sendSignal } from "./running.ts";
import { parseSignal } from "./signals.ts";
import { requireSubject } from "./subject.ts";

export function stopContainer(
  parts: Parts,
  id: ContainerId,
  options: ChangeOptions & StopOptions,
): Promise<Change> {
  return operate(parts, { kind: "stop", id }, options, async (attempt) => {
    const subject = await requireSubject(parts, id, options);
    if (subject.before.state.status === "stopped") return { changed: false, container: subject.before };
    await attempt.begin();
    await attempt.step("stopping");
    await endLive(subject, options);
    return { changed: true, container: await parts.inspector.settled(id) };
  });
}

export async function killContainer(
  parts: Parts,
  id: ContainerId,
  signalName: string,
  options: ChangeOptions & { all?: boolean | undefined },
): Promise<Change> {
  const signal = parseSignal(signalName);
  return await operate(parts, { kind: "kill", id }, options, async (attempt) => {
    const { backend, before } = await requireSubject(parts, id, options);
    if (before.state.status === "stopped") return { changed: false, container: before };
    await attempt.begin();
    await attempt.step("killing");
    await sendSignal(backend, id, signal, { all: options.all ?? false });
    // The kernel takes a moment; whether another signal ends it is the container's own affair.
    if (signal === "SIGKILL")
      await backend.waitForEnd(id, { timeoutMs: killTimeoutMs, signal: options.signal });
    return { changed: true, container: await parts.inspector.settled(id) };
  });
}
