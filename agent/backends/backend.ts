import type { Readable, Writable } from "node:stream";
import type { Exit, Features, LogLine, ProcessInfo } from "../../shared/container.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { Status } from "../../shared/oci.ts";
import type { Params } from "../../shared/protocol.ts";
import type { BackendName, ContainerSpec } from "../../shared/spec.ts";

/** A container as its backend has it, looked at now. */
export type Live = {
  status: Status;
  /** Of its init on the host; 0 while there is none. */
  pid: number;
  /** With the pid it names the init for ever (proc(5), field 22). */
  startTicks?: string | undefined;
  /** How it ended; for `stopped`, where that is known. */
  exit?: Exit | undefined;
  monitor?: "alive" | "lost" | undefined;
};

export type ExecRequest = Omit<Params<"container/exec">, "id" | "stream">;

/** A process that `exec` started; it ends with this session. */
export type ExecSession = AsyncDisposable & {
  stdin: Writable;
  stdout: Readable;
  /** Undefined with a terminal: it is in `stdout` then. */
  stderr: Readable | undefined;
  exit: Promise<{ exitCode?: number; signal?: number }>;
  resize(size: { rows: number; columns: number }): Promise<void>;
};

export type LogRequest = Omit<Params<"container/logs">, "id" | "stream">;

type Waiting = { signal: AbortSignal };

/**
 * What runs containers. It knows no fleets, operations or records: those are the runtime's, which holds
 * the container's lock over each call that changes something.
 */
export interface Backend {
  readonly name: BackendName;
  /** Whether it works here, and why not. */
  features(): Promise<Features["backends"][number]>;
  /**
   * Makes a container, not started. Nothing of it is left when this fails. With `keepFiles` it is made
   * again over the files that it had.
   * @throws {NexcageError} `BACKEND_UNAVAILABLE`, `IMAGE_MISSING`, `BUNDLE_INVALID`, `SPEC_REFUSED`,
   * `DISK_FULL`, `RUNTIME_FAILED`
   */
  create(
    spec: ContainerSpec,
    options: Waiting & { keepFiles: boolean; onStep: (step: string) => Promise<void> },
  ): Promise<void>;
  start(id: ContainerId): Promise<void>;
  /**
   * Looks at one. `known` is what was seen before: while that process lives, nothing else is asked.
   * Undefined when the backend has none of this name.
   */
  observe(id: ContainerId, known: { pid: number; startTicks: string } | undefined): Promise<Live | undefined>;
  /** Those that it has, also without a record. */
  ids(): Promise<ContainerId[]>;
  kill(id: ContainerId, signal: string, options: { all: boolean }): Promise<void>;
  /** Ends it where it runs, and removes all of it: processes, cgroup, files, log. Fine when it is not there. */
  delete(id: ContainerId, options: Waiting): Promise<void>;
  /** Brings a running container's limits to what the spec says. */
  update(spec: ContainerSpec): Promise<void>;
  pause(id: ContainerId): Promise<void>;
  resume(id: ContainerId): Promise<void>;
  ps(id: ContainerId): Promise<ProcessInfo[]>;
  exec(id: ContainerId, request: ExecRequest, options: Waiting): Promise<ExecSession>;
  logs(id: ContainerId, request: LogRequest, options: Waiting): AsyncIterable<LogLine[]>;
  /** The absolute path of its bundle. */
  bundle(spec: ContainerSpec): string;
}
