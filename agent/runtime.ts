import { release } from "node:os";
import type {
  Change,
  Features,
  Hello,
  LockHolder,
  LogLine,
  Observed,
  ProcessInfo,
} from "../shared/container.ts";
import { NexcageError } from "../shared/errors.ts";
import type { ContainerId, Digest, OperationId } from "../shared/ids.ts";
import { ociVersion } from "../shared/oci.ts";
import { protocolVersion, type Result } from "../shared/protocol.ts";
import type { ContainerSpec } from "../shared/spec.ts";
import { version } from "../shared/version.ts";
import type { Backend, Check, ExecRequest, ExecSession, LogRequest, OnStep } from "./backends/backend.ts";
import { requireBackend } from "./backends/router.ts";
import { thisBuild } from "./build.ts";
import { cgroupMode } from "./cgroups.ts";
import { lockFleet } from "./fleet-lock.ts";
import type { ImageStore } from "./images/store.ts";
import { openInspector } from "./inspect.ts";
import type { Lazy } from "./lazy.ts";
import type { Log } from "./log.ts";
import { adoptContainer } from "./operations/adopt.ts";
import { deleteContainer } from "./operations/delete.ts";
import { createContainer, type MakeOptions, replaceContainer } from "./operations/make.ts";
import type { Parts } from "./operations/parts.ts";
import { pauseOrResume } from "./operations/pause.ts";
import { recoverAll } from "./operations/recover.ts";
import { restartContainer } from "./operations/restart.ts";
import { startContainer } from "./operations/start.ts";
import { killContainer, stopContainer } from "./operations/stop.ts";
import { type UpdateOptions, updateContainer } from "./operations/update.ts";
import type { Paths } from "./paths.ts";
import { openCounters } from "./state/counters.ts";
import { readNames } from "./state/files.ts";
import { openJournal } from "./state/journal.ts";
import type { LockFile } from "./state/lock.ts";
import { openRecords } from "./state/records.ts";

export type { ExecSession } from "./backends/backend.ts";

/** All that a runtime uses of the world: the product composes it in `compose.ts`, tests compose their own. */
export type RuntimeDependencies = {
  paths: Paths;
  backends: Backend[];
  /** Opened with its first use; the runtime closes it. */
  images: Lazy<ImageStore>;
  lockFile: LockFile;
  /** How long a command waits for another one on the same container. */
  lockTimeoutMs: number;
  hostname: string;
  now: () => Date;
  /** A name for a file of this process, unique on the host. */
  newId: () => string;
  log: Log;
  /** Told each step of each operation before it is done, once its intent is on disk. */
  onStep?: ((event: { operationId: OperationId; step: string }) => void | Promise<void>) | undefined;
};

type Waiting = { signal: AbortSignal };

/** What every change carries; with `fleet`, a container of another owner is `CONTAINER_NOT_OWNED`. */
export type ChangeOptions = Waiting & {
  operationId: OperationId;
  fleet?: string | undefined;
  /** Told the steps of this change. */
  onStep?: OnStep | undefined;
};

/**
 * The containers of this host: the one API below the command line and the server. Each change is
 * journalled: its operation id sent again, to this or another agent, gives what is recorded and never
 * acts twice. What is told is what was seen; `changed` compares before and after.
 */
export interface Runtime extends AsyncDisposable {
  /** Loads and starts nothing. */
  hello(): Hello;
  features(): Promise<Features>;
  /** What the backends that are available need of this host. */
  examine(): Promise<Check[]>;
  /** Sorted by id. */
  list(options: Waiting): Promise<Observed[]>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND`, as all that follow */
  state(id: ContainerId, options: Waiting): Promise<Observed>;
  ps(id: ContainerId, options: Waiting): Promise<ProcessInfo[]>;

  /**
   * With `start` it is started in the same operation. The answer is how it was right then; whether it
   * lives on is for who looks again.
   * @throws {NexcageError} `CONTAINER_EXISTS`, and what Backend's `create` throws; then nothing of it is left
   */
  create(spec: ContainerSpec, options: MakeOptions): Promise<Change>;
  /**
   * Stops what is there, puts the new one in its place, and with `start` starts it. When that fails, the
   * old one is back, running if it was. Where there is none it is made.
   */
  replace(spec: ContainerSpec, options: MakeOptions): Promise<Change>;
  /** @throws {NexcageError} `SPEC_REFUSED` where a changed field cannot change in place (shared/costs.ts) */
  update(spec: ContainerSpec, options: UpdateOptions): Promise<Change>;
  /** Of a stopped one too: it is made again over its files. */
  start(id: ContainerId, options: ChangeOptions): Promise<Change>;
  /** Its stop signal, its grace period (or `gracePeriodMs`), SIGKILL. */
  stop(id: ContainerId, options: ChangeOptions & { gracePeriodMs?: number | undefined }): Promise<Change>;
  /** As `stop`, then as `start`, in one operation: who comes after an agent that was killed finishes it. */
  restart(id: ContainerId, options: ChangeOptions & { gracePeriodMs?: number | undefined }): Promise<Change>;
  /** Freezes all that runs in it. @throws {NexcageError} `CONTAINER_NOT_RUNNING` */
  pause(id: ContainerId, options: ChangeOptions): Promise<Change>;
  /** Lets it go on, as `start` does. @throws {NexcageError} `CONTAINER_NOT_RUNNING` */
  resume(id: ContainerId, options: ChangeOptions): Promise<Change>;
  /**
   * `signalName` with or without SIG, or a number; `all`: to each of its processes. To a stopped one: success.
   * @throws {NexcageError} `USAGE` for what is no signal
   */
  kill(
    id: ContainerId,
    signalName: string,
    options: ChangeOptions & { all?: boolean | undefined },
  ): Promise<Change>;
  /**
   * With `force` a running one is stopped first, as `stop` does.
   * @throws {NexcageError} `CONTAINER_RUNNING` without `force`
   */
  delete(
    id: ContainerId,
    options: ChangeOptions & { force?: boolean | undefined; gracePeriodMs?: number | undefined },
  ): Promise<Change>;

  /** Guests of Proxmox's as they would be in a fleet. @throws {NexcageError} `BACKEND_UNAVAILABLE`, `CONTAINER_NOT_FOUND` */
  describe(vmids: readonly number[]): Promise<Result<"container/describe">>;
  /**
   * Makes a guest that others have made a container of ours; only its mark is added.
   * @throws {NexcageError} `CONTAINER_EXISTS`, and what Backend's `adopt` throws
   */
  adopt(spec: ContainerSpec, options: ChangeOptions & { vmid: number }): Promise<Change>;

  /** @throws {NexcageError} `CONTAINER_NOT_RUNNING`, `EXEC_FAILED` with `details.exitCode` */
  exec(id: ContainerId, request: ExecRequest, options: Waiting): Promise<ExecSession>;
  logs(id: ContainerId, request: LogRequest, options: Waiting): AsyncIterable<LogLine[]>;

  /** Their results have arrived: they may be forgotten. */
  acknowledge(operationIds: OperationId[]): void;
  /** @throws {NexcageError} `LOCK_HELD` at once, with the holder in `details.holder` */
  lockFleet(fleet: string, holder: LockHolder, options: Waiting): Promise<AsyncDisposable>;

  readonly images: Pick<ImageStore, "missing" | "begin" | "chunk" | "commit" | "cancel">;
  /** Removes the images that no container and no open session uses. */
  pruneImages(): Promise<Digest[]>;
}

/** Opens the runtime, once what agents that are gone left unfinished is finished or undone. */
export async function openRuntime(dependencies: RuntimeDependencies, { signal }: Waiting): Promise<Runtime> {
  const { paths, backends, hostname, lockFile } = dependencies;
  const journal = await openJournal({ ...dependencies, signal });
  const records = openRecords(paths);
  const isUnfinished = (id: ContainerId): boolean => journal.unfinished(id).length > 0;
  const inspector = openInspector({ ...dependencies, records, isUnfinished });
  const counters = openCounters(dependencies);
  const parts: Parts = { ...dependencies, journal, records, inspector, counters };
  const prune = coalesce(() => pruneImages(parts));
  await recoverAll(parts, { signal });

  function hello(): Hello {
    const node = backends.map((backend) => backend.node?.()).find((one) => one !== undefined);
    const build = thisBuild();
    return {
      agentVersion: version,
      ...(build !== undefined && { build }),
      protocol: protocolVersion,
      ociVersion,
      hostname,
      kernel: release(),
      architecture: process.arch,
      ...(node !== undefined && { node }),
    };
  }

  async function pruneAfter(changing: Promise<Change>): Promise<Change> {
    const change = await changing;
    if (change.changed)
      await prune().catch((err: unknown) => dependencies.log.warn({ err }, "could not remove unused images"));
    return change;
  }

  async function requireRunning(id: ContainerId): Promise<Backend> {
    const { backend, state } = await inspector.require(id);
    if (state.status === "running") return requireBackend(backends, backend);
    throw new NexcageError("CONTAINER_NOT_RUNNING", `container ${id} is ${state.status}`, {
      hint: `start it first: nexcage-agent start ${id}`,
    });
  }

  return {
    images: lazyImages(dependencies.images),
    hello,
    async features() {
      return {
        ...hello(),
        cgroups: await cgroupMode(),
        backends: await Promise.all(backends.map((backend) => backend.features())),
      };
    },
    async examine() {
      const checks: Check[] = [];
      for (const backend of backends)
        if ((await backend.features()).available) checks.push(...((await backend.examine?.()) ?? []));
      return checks;
    },
    list: () => inspector.list(),
    state: (id) => inspector.require(id),
    async ps(id) {
      const { backend, state } = await inspector.require(id);
      return state.pid === 0 ? [] : await requireBackend(backends, backend).ps(id);
    },

    create: (spec, options) => createContainer(parts, spec, options),
    replace: (spec, options) => pruneAfter(replaceContainer(parts, spec, options)),
    update: (spec, options) => updateContainer(parts, spec, options),
    start: (id, options) => startContainer(parts, id, options),
    stop: (id, options) => stopContainer(parts, id, options),
    restart: (id, options) => restartContainer(parts, id, options),
    pause: (id, options) => pauseOrResume(parts, id, { ...options, kind: "pause" }),
    resume: (id, options) => pauseOrResume(parts, id, { ...options, kind: "resume" }),
    kill: (id, signalName, options) => killContainer(parts, id, signalName, options),
    delete: (id, options) => pruneAfter(deleteContainer(parts, id, options)),

    async describe(vmids) {
      const backend = requireBackend(backends, "lxc");
      const { available, reason = "" } = await backend.features();
      if (!available || backend.describe === undefined) throw new NexcageError("BACKEND_UNAVAILABLE", reason);
      return backend.describe(vmids);
    },
    adopt: (spec, options) => adoptContainer(parts, spec, options),

    async exec(id, request, options) {
      const backend = await requireRunning(id);
      return await backend.exec(id, request, options);
    },
    async *logs(id, request, options) {
      const { backend, client } = await inspector.require(id);
      if (client !== undefined)
        throw new NexcageError("REFUSED", `container ${id} is ${client}'s, and its output is not kept here`, {
          hint: "it went to who made it, such as podman logs",
        });
      yield* requireBackend(backends, backend).logs(id, request, options);
    },

    acknowledge: (operationIds) => journal.acknowledge(operationIds),
    lockFleet: (fleet, holder, options) =>
      lockFleet(paths.fleetLock(fleet), { fleet, holder, lockFile, ...options }),
    pruneImages: prune,
    async [Symbol.asyncDispose]() {
      await journal[Symbol.asyncDispose]();
      await counters[Symbol.asyncDispose]();
      await dependencies.images[Symbol.asyncDispose]();
    },
  };
}

async function pruneImages({ images, paths, records }: Parts): Promise<Digest[]> {
  if (readNames(paths.images).length === 0) return [];
  const store = await images();
  return await store.prune(async () =>
    records
      .list()
      .records.flatMap(({ spec: { source } }) => (source.kind === "image" ? [source.digest] : [])),
  );
}

/** The image store's calls, each of which opens it where it is not open yet. */
function lazyImages(store: Lazy<ImageStore>): Runtime["images"] {
  return {
    missing: async (digests) => (await store()).missing(digests),
    begin: async (image) => (await store()).begin(image),
    chunk: async (upload, offset, data) => (await store()).chunk(upload, offset, data),
    commit: async (upload, options) => (await store()).commit(upload, options),
    cancel: async (upload) => (await store()).cancel(upload),
  };
}

/** Calls that come while one is under way share the next one. */
function coalesce<T>(act: () => Promise<T>): () => Promise<T> {
  let current: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  return () => {
    next ??= current.then(() => {
      next = undefined;
      const acting = act();
      current = acting.catch(() => {});
      return acting;
    });
    return next;
  };
}
