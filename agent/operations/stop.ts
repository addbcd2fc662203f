import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { Backend } from "../backends/backend.ts";
import type { ChangeOptions } from "../runtime.ts";
import { parseSignal } from "../signals.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { endLive, killTimeoutMs, type StopOptions, sendSignal } from "./running.ts";
import { requireSubject } from "./subject.ts";

export function stopContainer(
  parts: Parts,
  id: ContainerId,
  options: ChangeOptions & StopOptions,
): Promise<Change> {
  return operate(parts, { kind: "stop", id }, options, async (attempt) => {
    const subject = await requireSubject(parts, id, options);
    if (subject.before.state.status === "stopped") return { changed: false, container: subject.before };
    await subject.backend.requireReady?.(id, { ...options, writes: false });
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
    const { status, pid } = before.state;
    const hasNothing = status === "created" && pid === 0; // never started, and there is no process that waits
    if (status === "stopped" || hasNothing) return { changed: false, container: before };
    await attempt.begin();
    await attempt.step("killing");
    await sendSignal(backend, id, signal, { all: options.all ?? false });
    await waitForEffect(backend, { id, signal, waiting: options.signal });
    return { changed: true, container: await parts.inspector.settled(id) };
  });
}

/** Ten looks, 200 ms apart, where a signal must have ended a container. */
const endTimeoutMs = 2_000;

/**
 * The kernel takes a moment for SIGKILL. Whether another signal ends a container is its own affair, but for a
 * backend that says otherwise.
 * @throws {NexcageError} `CONTAINER_RUNNING`
 */
async function waitForEffect(
  backend: Backend,
  { id, signal, waiting }: { id: ContainerId; signal: string; waiting: AbortSignal },
): Promise<void> {
  const mustEnd = backend.endingSignals?.has(signal) === true;
  if (!mustEnd && signal !== "SIGKILL") return;
  const timeoutMs = signal === "SIGKILL" ? killTimeoutMs : endTimeoutMs;
  if ((await backend.waitForEnd(id, { timeoutMs, signal: waiting })) || !mustEnd) return;
  const status = (await backend.observe(id))?.status ?? "stopped";
  const reason = status === "paused" ? "is paused" : `still runs ${timeoutMs / 1_000} s after it`;
  throw new NexcageError("CONTAINER_RUNNING", `${signal} was sent to container ${id}, which ${reason}`, {
    hint: `an init takes only the signals that it handles; to end it: nexcage-agent stop ${id}, or kill -s KILL`,
  });
}
