import type { Paths } from "../../paths.ts";
import type { ExecSession } from "./exec-session.ts";

/** One container of a runtime's: `root` is the folder of the runtime's state, absolute. */
export type ContainerRef = { root: string; id: string };

/**
 * Who reads a container's output and records its end, nexcage-monitor; its stdin is /dev/null. `ioPath` is a folder
 * of this container alone, which is there and belongs to the caller: the two pipes and the monitor's lock live in
 * it until the container is deleted.
 */
export type Monitored = { ioPath: string; logPath: string; logMaxBytes: number; exitRecordPath: string };

export type CreateOptions = {
  /** An absolute path; `config.json` in it must mount something on /dev and name `linux.cgroupsPath`. */
  bundle: string;
  output: { kind: "monitor" } & Monitored;
  /** Mounted on `BUNDLE/rootfs` for this container alone: it is never seen on the host. */
  overlay?: { lower: string; upper: string; work: string } | undefined;
};

export type AttachOptions = Monitored & {
  /** The container's init on the host. */
  pid: number;
};

export type ExecOptions = {
  /** `process` of the OCI runtime specification; what it leaves out is the container's own. */
  process: Record<string, unknown>;
  /** With one, stdin, stdout and stderr are one terminal of the container's own. */
  terminal?: TerminalSize | undefined;
};

export type TerminalSize = { rows: number; columns: number };

/** Runs containers as the OCI runtime specification has it. Calls may run in parallel; each has a limit of 60 s. */
export type OciRuntime = {
  /** Such as `1.21`. */
  version: string;
  /** `features` of the runtime specification, features.md. */
  features?(): Promise<Record<string, unknown>>;
  /**
   * @throws {NexcageError} `CONTAINER_EXISTS`, `BUNDLE_INVALID`, `SPEC_REFUSED` (the message names the
   * field), `DISK_FULL`, `TIMED_OUT`, `RUNTIME_FAILED`; then nothing of it is left
   */
  create(container: ContainerRef, options: CreateOptions): Promise<unknown>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND`, `CONTAINER_NOT_RUNNING`, `CONTAINER_RUNNING` */
  start(container: ContainerRef): Promise<void>;
  /** `signal` is a name with or without SIG, or a number. `all`: every process of the container. */
  kill(container: ContainerRef, signal: string, options: { all?: boolean }): Promise<void>;
  /** `force` ends it first, also a frozen or half-made one, and succeeds where there is no such container. */
  delete(container: ContainerRef, options: { force: boolean }): Promise<void>;
  pause(container: ContainerRef): Promise<void>;
  resume(container: ContainerRef): Promise<void>;
  /** `resources` is `linux.resources` of the runtime specification. */
  update(container: ContainerRef, resources: Record<string, unknown>): Promise<void>;
  /** Every process in the container's cgroup, pids of the host. */
  pids(container: ContainerRef): Promise<number[]>;
  /** @throws {NexcageError} `EXEC_FAILED` with `details.exitCode` 126 or 127 where the program cannot be run */
  exec(container: ContainerRef, options: ExecOptions): Promise<ExecSession>;
  /** A new monitor for a running container whose own was killed: output again, its exit code never. */
  attachMonitor(options: AttachOptions): Promise<unknown>;
  /** Whether an overlay can be mounted with its upper folder on the file system of `path`, a folder. */
  canOverlay(path: string): Promise<boolean>;
};

/** A container's init, alive or not. */
export type Init = {
  pid: number;
  /** Field 22 of /proc/PID/stat, which the runtime has noted. */
  startTicks: number;
  /** As in `linux.cgroupsPath`. */
  cgroup: string;
};

/** One of the runtimes that this agent knows; what it keeps on disk is read without loading or running it. */
export type OciRuntimeKind = {
  name: "crun" | "runc";
  /** Of what `folder` says, which is the runtime's own of one container; undefined for a half-made one. */
  readInit(folder: string): Init | undefined;
  /** Whether a call of an agent that is gone is still at work on a container; undefined where none can be. */
  isAtWork?(container: ContainerRef): boolean;
  /** Loads it at its first use. @throws {NexcageError} `BACKEND_UNAVAILABLE` with the reason */
  load(): Promise<OciRuntime>;
};

/** One runtime's containers. */
export type Place = { kind: OciRuntimeKind; paths: Paths };
