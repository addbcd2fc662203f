import { release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Change, Features, LockHolder, LogLine, Observed, ProcessInfo } from "../shared/container.ts";
import { changedFields } from "../shared/costs.ts";
import { asNexcageError, NexcageError } from "../shared/errors.ts";
import type { ContainerId, Digest, OperationId } from "../shared/ids.ts";
import { ociVersion } from "../shared/oci.ts";
import { protocolVersion } from "../shared/protocol.ts";
import { type ContainerSpec, defaultStopGracePeriodMs, specDigest } from "../shared/spec.ts";
import { version } from "../shared/version.ts";
import type { Backend, ExecRequest, ExecSession, LogRequest } from "./backends/backend.ts";
import { cgroupMode } from "./cgroups.ts";
import { lockFleet } from "./fleet-lock.ts";
import type { ImageStore } from "./images/store.ts";
import { type Inspector, openInspector } from "./inspect.ts";
import type { Paths } from "./paths.ts";
import { settleCutOff } from "./recovery.ts";
import { type Intent, type Journal, openJournal } from "./state/journal.ts";
import { type LockFile, lockContainer } from "./state/lock.ts";
import { type ContainerRecord, openRecords } from "./state/records.ts";

export type { ExecSession } from "./backends/backend.ts";

/** All that the runtime works with: the product composes it in `compose.ts`, tests compose their own. */
export type RuntimeDependencies = {
  paths: Paths;
  backends: Backend[];
  images: ImageStore;
  lockFile: LockFile;
  /** How long a command waits for another on the same container, in ms. */
  lockTimeoutMs: number;
  hostname: string;
  now: () => Date;
  newId: () => string;
  log: Logger;
  /** Told of each step of each operation before the next one; what it throws or waits for, they do. */
  onStep?: ((step: string) => void | Promise<void>) | undefined;
};

/** What each change is asked with; see the protocol. */
export type ChangeOptions = {
  operationId: OperationId;
  fleet?: string | undefined;
  signal: AbortSignal;
  onStep?: ((step: string) => void) | undefined;
};

type Waiting = { signal: AbortSignal };

/**
 * The lifecycle of containers on this host: the one API below the command line and the server. Changes
 * are journalled, locked and done once; what is told is what was observed.
 */
export interface Runtime extends AsyncDisposable {
  readonly images: ImageStore;
  features(): Promise<Features>;
  list(options: Waiting): Promise<Observed[]>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND` */
  state(id: ContainerId, options: Waiting): Promise<Observed>;
  ps(id: ContainerId, options: Waiting): Promise<ProcessInfo[]>;
  /** @throws {NexcageError} `CONTAINER_EXISTS`, and what the backend's `create` throws */
  create(spec: ContainerSpec, options: ChangeOptions & { start?: boolean | undefined }): Promise<Change>;
  /** Stops and deletes what is there, and makes it anew. */
  replace(spec: ContainerSpec, options: ChangeOptions & { start?: boolean | undefined }): Promise<Change>;
  /** @throws {NexcageError} `SPEC_REFUSED` where a field that differs needs a new container */
  update(spec: ContainerSpec, options: ChangeOptions): Promise<Change>;
  /** Starts what was created, or again what has stopped, over the files that it had. */
  start(id: ContainerId, options: ChangeOptions): Promise<Change>;
  /** Its stop signal, then SIGKILL when the grace period is over. */
  stop(id: ContainerId, options: ChangeOptions & { gracePeriodMs?: number | undefined }): Promise<Change>;
  kill(
    id: ContainerId,
    signalName: string,
    options: ChangeOptions & { all?: boolean | undefined },
  ): Promise<Change>;
  /** @throws {NexcageError} `CONTAINER_RUNNING` without `force` */
  delete(id: ContainerId, options: ChangeOptions & { force?: boolean | undefined }): Promise<Change>;
  exec(id: ContainerId, request: ExecRequest, options: Waiting): Promise<ExecSession>;
  logs(id: ContainerId, request: LogRequest, options: Waiting): AsyncIterable<LogLine[]>;
  acknowledge(operationIds: OperationId[]): void;
  /** @throws {NexcageError} `LOCK_HELD` at once, with its holder */
  lockFleet(fleet: string, holder: LockHolder, options: Waiting): Promise<AsyncDisposable>;
  pruneImages(): Promise<Digest[]>;
}

/** Opens the runtime, once it has finished or undone what agents that are gone left behind. */
export async function openRuntime(
  dependencies: RuntimeDependencies,
  { signal }: { signal: AbortSignal },
): Promise<Runtime> {
  const { paths, lockFile, newId, now, log, backends } = dependencies;
  const journal = await openJournal({ folder: paths.journal, lockFile, newId, now, signal });
  const records = openRecords(paths);
  const inspector = openInspector({ paths, records, backends, log, now });
  const runtime = new ContainerRuntime({ ...dependencies, journal, inspector });
  await journal.recover((operation) => settleCutOff(operation, { ...dependencies, inspector, signal }));
  return runtime;
}

type Parts = RuntimeDependencies & { journal: Journal; inspector: Inspector };

/** How often a container that was told to stop is looked at, in ms. */
const stopPollMs = 20;
/** How long the kernel may take to end what got SIGKILL, in ms. */
const killTimeoutMs = 10_000;

class ContainerRuntime implements Runtime {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get images(): ImageStore {
    return this.#parts.images;
  }

  async features(): Promise<Features> {
    const { backends, hostname } = this.#parts;
    return {
      agentVersion: version,
      protocol: protocolVersion,
      ociVersion,
      hostname,
      kernel: release(),
      architecture: process.arch,
      cgroups: await cgroupMode(),
      backends: await Promise.all(backends.map((backend) => backend.features())),
    };
  }

  list({ signal }: Waiting): Promise<Observed[]> {
    signal.throwIfAborted();
    return this.#parts.inspector.list();
  }

  async state(id: ContainerId, { signal }: Waiting): Promise<Observed> {
    signal.throwIfAborted();
    return await this.#parts.inspector.require(id);
  }

  async ps(id: ContainerId, options: Waiting): Promise<ProcessInfo[]> {
    const { backend } = await this.state(id, options);
    return await this.#backend(backend).ps(id);
  }

  create(spec: ContainerSpec, options: ChangeOptions & { start?: boolean }): Promise<Change> {
    return this.#change("create", spec.id, { ...options, ...startOf(options) }, async (step) => {
      const { inspector } = this.#parts;
      if ((await inspector.find(spec.id)) !== undefined)
        throw new NexcageError("CONTAINER_EXISTS", `container ${spec.id} already exists`, {
          hint: `to see it: nexcage-agent state ${spec.id}`,
        });
      await step.begin();
      await this.#make(spec, options, step.reach);
      return { changed: true, container: await inspector.require(spec.id) };
    });
  }

  replace(spec: ContainerSpec, options: ChangeOptions & { start?: boolean }): Promise<Change> {
    return this.#change("replace", spec.id, { ...options, ...startOf(options) }, async (step) => {
      const { inspector } = this.#parts;
      const record = await this.#requireOurs(spec.id, options);
      await step.begin();
      await this.#stop(record, { signal: options.signal });
      await step.reach("stopped");
      await inspector.records.write({ ...record, doomed: true });
      await step.reach("doomed");
      await this.#remove(record, options, step.reach);
      await this.#make(spec, options, step.reach);
      return { changed: true, container: await inspector.require(spec.id) };
    });
  }

  update(spec: ContainerSpec, options: ChangeOptions): Promise<Change> {
    return this.#change("update", spec.id, options, async (step) => {
      const { inspector } = this.#parts;
      const record = await this.#requireOurs(spec.id, options);
      const changes = changedFields(record.spec, spec);
      const cold = changes.filter(({ cost }) => cost !== "hot");
      if (cold.length > 0)
        throw new NexcageError(
          "SPEC_REFUSED",
          `${spec.id}: ${cold.map(({ field }) => field).join(", ")} cannot change while a container lives`,
          { hint: "replace it: nexcage fleet apply plans that" },
        );
      if (changes.length === 0) return { changed: false, container: await inspector.require(spec.id) };
      await step.begin();
      const { state } = await inspector.require(spec.id);
      if (state.status !== "stopped" && changes.some(({ field }) => field.startsWith("resources.")))
        await this.#backend(record.backend).update(spec);
      await step.reach("updated");
      await inspector.records.write({
        ...record,
        spec,
        digest: specDigest(spec),
        operationId: options.operationId,
      });
      return { changed: true, container: await inspector.require(spec.id) };
    });
  }

  start(id: ContainerId, options: ChangeOptions): Promise<Change> {
    return this.#change("start", id, options, async (step) => {
      const { inspector } = this.#parts;
      const record = await this.#requireOurs(id, options);
      const before = await inspector.require(id);
      if (before.state.status === "running") return { changed: false, container: before };
      await step.begin();
      const backend = this.#backend(record.backend);
      if (before.state.status === "paused") await backend.resume(id);
      else {
        // An OCI container starts once: what has stopped is made again, over the files that it had.
        if (before.state.status === "stopped")
          await backend.create(record.spec, { keepFiles: true, signal: options.signal, onStep: step.reach });
        await backend.start(id);
      }
      await step.reach("started");
      return { changed: true, container: await inspector.started(record) };
    });
  }

  stop(id: ContainerId, options: ChangeOptions & { gracePeriodMs?: number }): Promise<Change> {
    return this.#change("stop", id, options, async (step) => {
      const { inspector } = this.#parts;
      const record = await this.#requireOurs(id, options);
      const before = await inspector.require(id);
      if (before.state.status === "stopped") return { changed: false, container: before };
      await step.begin();
      await this.#stop(record, options);
      return { changed: true, container: await inspector.require(id) };
    });
  }

  kill(id: ContainerId, signalName: string, options: ChangeOptions & { all?: boolean }): Promise<Change> {
    return this.#change("kill", id, options, async (step) => {
      const { inspector } = this.#parts;
      const record = await this.#requireOurs(id, options);
      const before = await inspector.require(id);
      if (before.state.status === "stopped") return { changed: false, container: before };
      await step.begin();
      await this.#backend(record.backend).kill(id, signalName, { all: options.all ?? false });
      return { changed: true, container: await inspector.require(id) };
    });
  }

  delete(id: ContainerId, options: ChangeOptions & { force?: boolean }): Promise<Change> {
    return this.#change("delete", id, options, async (step) => {
      const { inspector } = this.#parts;
      const record = await this.#requireOurs(id, options);
      const { state } = await inspector.require(id);
      if (state.status !== "stopped" && state.status !== "created" && options.force !== true)
        throw new NexcageError("CONTAINER_RUNNING", `container ${id} is ${state.status}`, {
          hint: "stop it first, or delete it with --force",
        });
      await step.begin();
      if (state.status === "running") await this.#stop(record, options);
      await step.reach("stopped");
      await this.#remove(record, options, step.reach);
      return { changed: true };
    });
  }

  async exec(id: ContainerId, request: ExecRequest, options: Waiting): Promise<ExecSession> {
    const { backend, state } = await this.state(id, options);
    if (state.status !== "running")
      throw new NexcageError("CONTAINER_NOT_RUNNING", `container ${id} is ${state.status}`, {
        hint: `start it first: nexcage-agent start ${id}`,
      });
    return await this.#backend(backend).exec(id, request, options);
  }

  async *logs(id: ContainerId, request: LogRequest, options: Waiting): AsyncIterable<LogLine[]> {
    const { backend } = await this.state(id, options);
    yield* this.#backend(backend).logs(id, request, options);
  }

  acknowledge(operationIds: OperationId[]): void {
    this.#parts.journal.acknowledge(operationIds);
  }

  lockFleet(fleet: string, holder: LockHolder, options: Waiting): Promise<AsyncDisposable> {
    const { lockFile, paths } = this.#parts;
    return lockFleet(paths.fleetLock(fleet), { fleet, holder, lockFile, ...options });
  }

  pruneImages(): Promise<Digest[]> {
    const { images, inspector } = this.#parts;
    return images.prune(async () => {
      const { records } = await inspector.records.list();
      return records.flatMap(({ spec }) => (spec.source.kind === "image" ? [spec.source.digest] : []));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.journal[Symbol.asyncDispose]();
    await this.#parts.images[Symbol.asyncDispose]();
  }

  /**
   * What all changes share: the container's lock, the answer of the same operation if it was done before,
   * and the journal around the work, from where the work says that it begins. An operation that never
   * began left nothing, and is not recorded.
   */
  async #change(
    kind: Intent["kind"],
    id: ContainerId,
    options: ChangeOptions & { start?: boolean },
    work: (step: { begin(): Promise<void>; reach(step: string): Promise<void> }) => Promise<Change>,
  ): Promise<Change> {
    const { journal, lockFile, lockTimeoutMs, paths, now, log } = this.#parts;
    const { operationId, signal } = options;
    await using _lock = await lockContainer(lockFile, paths.containerLock(id), {
      id,
      timeoutMs: lockTimeoutMs,
      signal,
    });
    const before = await journal.find(operationId);
    if (before !== undefined) {
      if ("change" in before) return before.change;
      throw new NexcageError(before.error.code, before.error.message, before.error);
    }
    let begun = false;
    const reach = async (step: string): Promise<void> => {
      log.debug({ containerId: id, operationId, kind, step }, "operation step");
      options.onStep?.(step);
      await this.#parts.onStep?.(`${kind}.${step}`);
    };
    const begin = async (): Promise<void> => {
      const intent = { operationId, kind, id, at: now().toISOString(), ...startOf(options) };
      begun = true;
      await journal.begin(intent);
      await reach("begun");
    };
    try {
      const change = await work({ begin, reach });
      if (begun) await journal.end(operationId, { change });
      await reach("ended");
      return change;
    } catch (cause) {
      const error = asNexcageError(cause);
      // A full disk must not hide what failed; the next agent settles what is not recorded.
      if (begun)
        await journal
          .end(operationId, { error: error.toJSON() })
          .catch((err: unknown) => log.warn({ err, operationId }, "could not record how an operation ended"));
      throw error;
    }
  }

  /** From nothing to a container that stands: its record is written last, and says that it does. */
  async #make(
    spec: ContainerSpec,
    options: ChangeOptions & { start?: boolean },
    reach: (step: string) => Promise<void>,
  ): Promise<void> {
    const { inspector, now } = this.#parts;
    const { operationId, fleet, signal } = options;
    const backend = this.#backend(spec.runtime);
    await using undo = new AsyncDisposableStack();
    await backend.create(spec, { keepFiles: false, signal, onStep: reach });
    // With a signal of its own: ours may be the reason why it is undone.
    undo.defer(() => backend.delete(spec.id, { signal: AbortSignal.timeout(30_000) }));
    await reach("created");
    const record: ContainerRecord = {
      id: spec.id,
      backend: backend.name,
      spec,
      digest: specDigest(spec),
      ...(fleet !== undefined && { fleet }),
      createdAt: now().toISOString(),
      operationId,
    };
    undo.defer(() => inspector.forget(spec.id));
    await inspector.records.write(record);
    await reach("recorded");
    if (options.start === true) {
      await backend.start(spec.id);
      await reach("started");
      await inspector.started(record);
    }
    undo.move();
  }

  /** The stop signal, the grace period, SIGKILL; returns once it is observed to have stopped. */
  async #stop(
    record: ContainerRecord,
    { signal, gracePeriodMs }: { signal: AbortSignal; gracePeriodMs?: number | undefined },
  ): Promise<void> {
    const { id, spec } = record;
    const backend = this.#backend(record.backend);
    const { state } = await this.#parts.inspector.require(id);
    if (state.status === "stopped") return;
    if (state.status === "paused") await backend.resume(id);
    if (state.status !== "created") {
      await this.#signal(backend, id, spec.stopSignal ?? "SIGTERM");
      const graceMs = gracePeriodMs ?? spec.stopGracePeriodMs ?? defaultStopGracePeriodMs;
      if (await this.#hasStopped(record, { withinMs: graceMs, signal })) return;
    }
    await this.#signal(backend, id, "SIGKILL");
    if (await this.#hasStopped(record, { withinMs: killTimeoutMs, signal })) return;
    throw new NexcageError(
      "TIMED_OUT",
      `container ${id} did not end within ${killTimeoutMs / 1_000} s of SIGKILL`,
      {
        hint: `a process that hangs in the kernel? ps -o pid,stat,wchan -p ${state.pid}`,
      },
    );
  }

  /** A container that ends by itself just now needs no signal any more. */
  async #signal(backend: Backend, id: ContainerId, name: string): Promise<void> {
    try {
      await backend.kill(id, name, { all: false });
    } catch (error) {
      if (asNexcageError(error).code !== "CONTAINER_NOT_RUNNING") throw error;
    }
  }

  async #hasStopped(
    record: ContainerRecord,
    { withinMs, signal }: { withinMs: number; signal: AbortSignal },
  ): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const { state } = await this.#parts.inspector.require(record.id);
      if (state.status === "stopped") return true;
      if (performance.now() >= deadline) return false;
      await sleep(Math.min(stopPollMs, Math.max(deadline - performance.now(), 1)), undefined, { signal });
    }
  }

  /** All of a container; its record last, so that what is cut off here is seen and finished. */
  async #remove(
    record: ContainerRecord,
    { signal }: Waiting,
    reach: (step: string) => Promise<void>,
  ): Promise<void> {
    await this.#backend(record.backend).delete(record.id, { signal });
    await reach("removed");
    await this.#parts.inspector.forget(record.id);
    await reach("forgotten");
  }

  /** @throws {NexcageError} `CONTAINER_NOT_FOUND`, `CONTAINER_NOT_OWNED` */
  async #requireOurs(id: ContainerId, { fleet }: { fleet?: string | undefined }): Promise<ContainerRecord> {
    const record = await this.#parts.inspector.requireRecord(id);
    if (fleet === undefined || record.fleet === fleet) return record;
    const owner = record.fleet === undefined ? "was made by hand" : `belongs to fleet ${record.fleet}`;
    throw new NexcageError("CONTAINER_NOT_OWNED", `container ${id} ${owner}, not to fleet ${fleet}`, {
      hint: "give the container of this fleet another name",
      details: { id, owner: record.fleet },
    });
  }

  #backend(name: string): Backend {
    const backend = this.#parts.backends.find((one) => one.name === name);
    if (backend !== undefined) return backend;
    throw new NexcageError("BACKEND_UNAVAILABLE", `this agent has no backend ${JSON.stringify(name)}`);
  }
}

function startOf({ start }: { start?: boolean | undefined }): { start?: true } {
  return start === true ? { start } : {};
}
