import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import { defaultStopGracePeriodMs } from "../../shared/spec.ts";
import type { Backend } from "../backends/backend.ts";
import { requireBackend } from "../backends/router.ts";
import type { Parts } from "./parts.ts";
import type { Subject } from "./subject.ts";

/* What operations and their undoing do to a container that runs, or is to run. */

export type StopOptions = { signal: AbortSignal; gracePeriodMs?: number | undefined };

/** How long the kernel may take to end what got SIGKILL. */
export const killTimeoutMs = 10_000;

/**
 * The stop signal, the grace period, SIGKILL; returns once it is seen to have ended.
 * @throws {NexcageError} `TIMED_OUT` when not even SIGKILL ended it
 */
export async function endLive({ id, backend, before, record }: Subject, options: StopOptions): Promise<void> {
  const { signal } = options;
  const { status, pid } = before.state;
  if (status === "stopped") return;
  const graceMs = options.gracePeriodMs ?? record?.spec.stopGracePeriodMs ?? defaultStopGracePeriodMs;
  if (graceMs > 0 && status === "running" && backend.shutdown !== undefined)
    return await backend.shutdown(id, { gracePeriodMs: graceMs });
  // One that was never started has no program that could obey.
  if (graceMs > 0 && (status === "running" || status === "paused")) {
    await sendSignal(backend, id, record?.spec.stopSignal ?? "SIGTERM", { all: false });
    if (status === "paused") await backend.resume(id); // a frozen process takes no signal
    if (await backend.waitForEnd(id, { timeoutMs: graceMs, signal })) return;
  }
  if (status === "creating" || (status === "created" && before.state.pid === 0))
    return await backend.stopNow(id);
  await sendSignal(backend, id, "SIGKILL", { all: false });
  if (status === "paused" && graceMs === 0) await backend.resume(id);
  if (await backend.waitForEnd(id, { timeoutMs: killTimeoutMs, signal })) return;
  throw new NexcageError(
    "TIMED_OUT",
    `container ${id} did not end within ${killTimeoutMs / 1_000} s of SIGKILL`,
    {
      hint: `does a process hang in the kernel? ps -o pid,stat,wchan -p ${pid}`,
    },
  );
}

/** For who removes it next, which ends it at once: only what runs, and may take its time, is stopped first. */
export async function endBeforeRemoval(subject: Subject, options: StopOptions): Promise<void> {
  const { status } = subject.before.state;
  const isLive = status === "running" || status === "paused";
  if (isLive && options.gracePeriodMs !== 0) await endLive(subject, options);
}

/** A container that ends by itself just now needs no signal any more. */
export async function sendSignal(
  backend: Backend,
  id: ContainerId,
  signal: string,
  options: { all: boolean },
): Promise<void> {
  try {
    await backend.kill(id, signal, options);
  } catch (error) {
    if (asNexcageError(error).code !== "CONTAINER_NOT_RUNNING") throw error;
  }
}

/** Brings a container of ours back to running, as part of undoing: nothing happens where it runs. */
export async function startAgain(
  { records, backends }: Parts,
  id: ContainerId,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const record = records.read(id);
  if (record === undefined) return;
  const backend = requireBackend(backends, record.backend);
  const live = await backend.observe(id);
  if (live?.status === "running" || live?.status === "paused") return;
  if (live?.status !== "created") {
    await backend.stopNow(id);
    await backend.create(record.spec, { files: "kept", signal, onStep: () => {} });
  }
  await backend.start(id);
}
