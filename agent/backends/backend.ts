import type { Readable, Writable } from "node:stream";
import type { Exit, Features, LogLine, ProcessInfo } from "../../shared/container.ts";
import type { Drift } from "../../shared/drift.ts";
import type { ContainerId, Digest, OperationId } from "../../shared/ids.ts";
import type { Status } from "../../shared/oci.ts";
import type { Params, Result } from "../../shared/protocol.ts";
import type { ProxmoxNode } from "../../shared/proxmox-node.ts";
import type { BackendName, ContainerSpec } from "../../shared/spec.ts";

/** A container as its backend has it, looked at now. `creating`: half made. */
export type Live = {
  status: Status;
  /** Of its init on the host; 0 while there is none. */
  pid: number;
  /** How it ended, once that is recorded. */
  exit?: Exit | undefined;
  /** `alive`: somebody reads its output and will know its end, also for a moment after that; `lost`: killed. */
  monitor?: "alive" | "lost" | undefined;
  /** Nobody reads its output: `watch` helps. */
  unwatched?: boolean | undefined;
  /** Its log takes more of the disk than it may, and nobody else sees to that: `trimLog` helps. */
  hasLongLog?: boolean | undefined;
  /** What the backend calls it, for its state. */
  annotations?: Readonly<Record<string, string>> | undefined;
  /** What of it is not as its spec says, where others can change it. */
  drift?: ((spec: ContainerSpec) => Drift[]) | undefined;
  /** What so is known of one that has come from another host. */
  kept?: Kept | undefined;
  /** Whose it is, and by its own files what, where an OCI client made it. */
  client?: Client | undefined;
};

/** An OCI client's container. `name` is the client's, or the user's who made it by hand. */
export type Client = {
  name: string;
  bundle: string;
  annotations: Readonly<Record<string, string>>;
  /** ISO 8601 */
  createdAt?: string;
};

/** Whose a container is and what it was made from, where its backend keeps that beside it. */
export type Kept = { fleet?: string | undefined; spec: ContainerSpec; digest: Digest };

export type CreateOptions = {
  /** `new` files, or over those that it had before. */
  files: "new" | "kept";
  /** Its owner, where the backend keeps that beside the container. */
  fleet?: string | undefined;
  /** How many may be made at once on one storage (1). */
  storageParallel?: number | undefined;
  onStep: OnStep;
  signal: AbortSignal;
};

export type UpdateOptions = {
  isLive: boolean;
  /** What it was made from; undefined when it is not known how far an update has come. */
  before?: ContainerSpec | undefined;
};

export type ExecRequest = Omit<Params<"container/exec">, "id" | "stream">;

/** A process that `exec` started; it ends with this session. */
export type ExecSession = AsyncDisposable & {
  /** Its pid on the host. */
  pid: number;
  stdin: Writable;
  stdout: Readable;
  /** Undefined with a terminal: it is in `stdout` then. */
  stderr: Readable | undefined;
  exit: Promise<{ exitCode?: number; signal?: number }>;
  /** Without a terminal it does nothing. */
  resize(size: { rows: number; columns: number }): Promise<void>;
};

export type LogRequest = Omit<Params<"container/logs">, "id" | "stream">;

type Waiting = { signal: AbortSignal };

/**
 * What runs containers. It knows no fleets, operations or records: those are the runtime's, which holds
 * the container's lock over each call that changes something, and checks what may be done.
 */
export interface Backend {
  readonly name: BackendName;
  /** What a container is that we made and it has no trace of: `stopped`, its files are ours; or `gone`. */
  readonly untraced: "stopped" | "gone";
  /** Where `kill` with one of these has to end the container, or has failed; none where that is the container's affair. */
  readonly endingSignals?: ReadonlySet<string>;
  /** What it finds where it needs a node of Proxmox's, and is on one. */
  node?(): ProxmoxNode | undefined;
  /** Whether it works here, and why not. */
  features(): Promise<Features["backends"][number]>;

  /** What there is beside it on this host that it needs; asked where it is available. */
  examine?(): Promise<Check[]>;

  /** Undefined when it has none of this name, or no trace of it since the host started. */
  observe(id: ContainerId): Promise<Live | undefined>;
  /** All that it has, also those that we have no record of. */
  observeAll(): Promise<Map<ContainerId, Live>>;
  /**
   * Waits until nothing runs any more and the end is recorded, or can't be.
   * @returns false when it still runs after `timeoutMs`
   */
  waitForEnd(id: ContainerId, options: Waiting & { timeoutMs: number }): Promise<boolean>;

  /**
   * Refuses what `create` would refuse, and touches nothing. `wasHere`: it had a record here, and is gone.
   * @throws {NexcageError} `BACKEND_UNAVAILABLE`, `IMAGE_MISSING`, `BUNDLE_INVALID`, `SPEC_REFUSED`
   */
  check(spec: ContainerSpec, options: Waiting & { wasHere: boolean }): Promise<void>;
  /**
   * Makes a container that waits for its start. When this fails what it made is gone, but not the kept files.
   * @throws {NexcageError} what `check` throws, `DISK_FULL`, `TIMED_OUT`, `RUNTIME_FAILED`
   */
  create(spec: ContainerSpec, options: CreateOptions): Promise<void>;
  start(id: ContainerId): Promise<void>;
  /** `signal` is a name, such as `SIGTERM`. `all`: to every process of the container. */
  kill(id: ContainerId, signal: string, options: { all: boolean }): Promise<void>;
  /** Asks it to end, and ends it after the grace period; where a backend has no way of its own, its signals do. */
  shutdown?(id: ContainerId, options: { gracePeriodMs: number }): Promise<void>;
  /** Ends what runs and forgets it; its files and its log stay, for a new start. */
  stopNow(id: ContainerId): Promise<void>;
  /** As `stopNow`, and puts the files aside: they come back by `restore`, or go by `discard`. */
  retire(id: ContainerId): Promise<void>;
  /** Ends and removes what came after `retire`, and puts back the files. Without any aside it only ends. */
  restore(id: ContainerId): Promise<void>;
  /**
   * Ends and removes what was made here in the place of another backend's container of this name, or is half made;
   * `restore` of that one comes after. Fine where there is nothing.
   */
  undoReplacement(id: ContainerId, options: { of: BackendName }): Promise<void>;
  /** Removes what `retire` put aside. */
  discard(id: ContainerId): Promise<void>;
  /**
   * Waits, before anything is changed, until nobody else is at work on it, and tells whom it waits for.
   * @param options.writes whether the change is more than ending it
   * @throws {NexcageError} `LOCK_HELD` where that takes too long, `RUNTIME_FAILED` where nothing can be changed now
   */
  requireReady?(
    id: ContainerId,
    options: Waiting & { writes: boolean; onStep?: OnStep | undefined },
  ): Promise<void>;
  /** @throws {NexcageError} `REFUSED` for what the backend must not remove; asked before anything is stopped */
  checkRemoval?(id: ContainerId): Promise<void>;
  /** Ends it and removes all of it: processes, cgroup, files, log. Fine where there is nothing. */
  delete(id: ContainerId): Promise<void>;
  /** What others have made, by its own numbers. @throws {NexcageError} `CONTAINER_NOT_FOUND` */
  describe?(vmids: readonly number[]): Result<"container/describe">;
  /**
   * Makes a guest that others have made this fleet's; nothing else of it changes.
   * @throws {NexcageError} `SPEC_REFUSED` where the spec does not say what is there, `CONTAINER_NOT_OWNED`, `LOCK_HELD`
   */
  adopt?(vmid: number, spec: ContainerSpec, options: { fleet: string | undefined }): Promise<void>;

  /** Waits for what an agent that was killed may have left at work on this container. */
  settle(id: ContainerId, options: Waiting): Promise<void>;

  /** Gives a running container's output a reader again. */
  watch(id: ContainerId): Promise<void>;
  /** Drops the oldest of a log that has become too long, while its container writes on. */
  trimLog?(id: ContainerId): Promise<void>;
  /** Brings what can change in place to what the spec says. */
  update(spec: ContainerSpec, options: UpdateOptions): Promise<void>;
  /**
   * Keeps how it is now, under the operation that is to change it, for a person to go back to.
   * @returns why it cannot; undefined when it is kept
   */
  snapshot?(id: ContainerId, operationId: OperationId): Promise<string | undefined>;
  /** Removes the one of an operation; or where there is that, all others of ours. */
  removeSnapshots?(id: ContainerId, which: { of: OperationId } | { otherThan: OperationId }): Promise<void>;
  pause(id: ContainerId): Promise<void>;
  resume(id: ContainerId): Promise<void>;
  ps(id: ContainerId): Promise<ProcessInfo[]>;
  /** @throws {NexcageError} `EXEC_FAILED` with `details.exitCode` 126 or 127 where the program cannot be run */
  exec(id: ContainerId, request: ExecRequest, options: Waiting): Promise<ExecSession>;
  logs(id: ContainerId, request: LogRequest, options: Waiting): AsyncIterable<LogLine[]>;
}

/** One thing that `doctor` has looked at. `failed`: containers cannot run, or cannot be kept. */
export type Check = {
  name: string;
  result: "ok" | "warning" | "failed";
  message: string;
  /** What to do. */
  hint?: string | undefined;
};

/** Told each step of an operation before it is done, such as `creating`. */
export type OnStep = (step: string) => void | Promise<void>;
