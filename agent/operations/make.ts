import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import { type ContainerSpec, specDigest } from "../../shared/spec.ts";
import { requireBackend } from "../backends/router.ts";
import type { ChangeOptions } from "../runtime.ts";
import { type Attempt, operate } from "./operate.ts";
import type { Parts } from "./parts.ts";
import { endBeforeRemoval, startAgain } from "./running.ts";
import { requireSubject } from "./subject.ts";

export type MakeOptions = ChangeOptions & {
  start?: boolean | undefined;
  /** How many may be made at once on one storage of Proxmox's (1). */
  storageParallel?: number | undefined;
};

export function createContainer(parts: Parts, spec: ContainerSpec, options: MakeOptions): Promise<Change> {
  const { id } = spec;
  return operate(parts, { kind: "create", id }, options, async (attempt) => {
    const { inspector, backends, records } = parts;
    if ((await inspector.find(id)) !== undefined)
      throw new NexcageError("CONTAINER_EXISTS", `container ${id} already exists`, {
        hint: `to see it: nexcage-agent state ${id}`,
      });
    const wasHere = records.read(id) !== undefined;
    await requireBackend(backends, spec.runtime).check(spec, { ...options, wasHere });
    await attempt.begin();
    return await makeNew(parts, spec, options, attempt);
  });
}

/** The old one is put aside until the new one stands, and is back when that fails. */
export function replaceContainer(parts: Parts, spec: ContainerSpec, options: MakeOptions): Promise<Change> {
  const { id } = spec;
  return operate(parts, { kind: "replace", id }, options, async (attempt) => {
    const { inspector, backends, log, records } = parts;
    const isThere = (await inspector.find(id)) !== undefined;
    const old = isThere ? await requireSubject(parts, id, options) : undefined;
    const wasHere = !isThere && records.read(id) !== undefined;
    await requireBackend(backends, spec.runtime).check(spec, { ...options, wasHere });
    await old?.backend.checkRemoval?.(id);
    await old?.backend.requireReady?.(id, { ...options, writes: true });
    const wasRunning = old?.before.state.status === "running";
    await attempt.begin({ wasRunning, runtime: spec.runtime });
    if (old === undefined) return await makeNew(parts, spec, options, attempt);

    await attempt.step("stopping");
    attempt.undo(async () => {
      if (wasRunning) await startAgain(parts, id, { signal: AbortSignal.timeout(undoTimeoutMs) });
      await inspector.settled(id);
    });
    await endBeforeRemoval(old, options);
    attempt.undo(() => old.backend.restore(id));
    await attempt.step("retiring");
    await old.backend.retire(id);
    const backend = requireBackend(backends, spec.runtime);
    if (backend !== old.backend) attempt.undo(() => backend.undoReplacement(id, { of: old.backend.name }));
    await make(parts, spec, options, attempt);
    await attempt.step("discarding");
    await old.backend
      .discard(id)
      .catch((err: unknown) =>
        log.warn({ err, containerId: id }, "could not remove a replaced container's files"),
      );
    return { changed: true, container: await inspector.settled(id) };
  });
}

/** Undoing has a signal of its own: the operation's may be the very reason for it. */
const undoTimeoutMs = 60_000;

async function makeNew(
  parts: Parts,
  spec: ContainerSpec,
  options: MakeOptions,
  attempt: Attempt,
): Promise<Change> {
  const { backends, inspector } = parts;
  const { id } = spec;
  attempt.undo(async () => {
    await requireBackend(backends, spec.runtime).delete(id);
    inspector.forget(id);
  });
  await make(parts, spec, options, attempt);
  return { changed: true, container: await inspector.settled(id) };
}

/** A container that stands: its record is written last, and says that it does. */
async function make(
  { backends, records, now }: Parts,
  spec: ContainerSpec,
  { operationId, fleet, start, storageParallel, signal }: MakeOptions,
  attempt: Attempt,
): Promise<void> {
  const { id } = spec;
  const backend = requireBackend(backends, spec.runtime);
  const createdAt = now().toISOString();
  await backend.create(spec, { files: "new", fleet, storageParallel, signal, onStep: attempt.step });
  let startedAt: string | undefined;
  if (start === true) {
    await attempt.step("starting");
    startedAt = now().toISOString();
    await backend.start(id);
  }
  await attempt.step("recording");
  await records.write({
    id,
    backend: backend.name,
    spec,
    digest: specDigest(spec),
    ...(fleet !== undefined && { fleet }),
    createdAt,
    ...(startedAt !== undefined && { startedAt }),
    operationId,
  });
  attempt.stands();
}
