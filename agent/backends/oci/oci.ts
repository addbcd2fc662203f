import { isDeepStrictEqual } from "node:util";
import type { Features, LogLine, ProcessInfo } from "../../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import type { BackendName, ContainerSpec } from "../../../shared/spec.ts";
import { endCgroup } from "../../cgroups.ts";
import type { ImageStore } from "../../images/store.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import { readProcess } from "../../state/process.ts";
import { readLogs } from "../../supervise/logs.ts";
import type {
  Backend,
  CreateOptions,
  ExecRequest,
  ExecSession,
  Live,
  LogRequest,
  UpdateOptions,
} from "../backend.ts";
import { processesOf } from "../processes.ts";
import { waitUntil } from "../wait-until.ts";
import type { OciConfig } from "./config.ts";
import { execIn } from "./exec.ts";
import { bringBack, dropAside, forgetEnd, makeFolders, putAside, removeFiles } from "./files.ts";
import { resourcesUpdate } from "./limits.ts";
import { containerIds, lookAt, monitorName, watcherOf } from "./look.ts";
import type { ContainerRef, Monitored, OciRuntime, OciRuntimeKind, Place } from "./oci-runtime.ts";
import { accountsReader, configOf, overlayTrial, provision } from "./provision.ts";

export type OciOptions = {
  kind: OciRuntimeKind;
  paths: Paths;
  images: () => Promise<ImageStore>;
  log: Log;
};

type Waiting = { signal: AbortSignal };

/** A container's log takes twice this at most: it is rotated once. */
const logMaxBytes = 8 * 1024 * 1024;
/** After the init's end the monitor writes what is left of the output, then how it ended. */
const recordTimeoutMs = 5_000;
/** A killed agent's call goes on by itself; each has its own limit of 60 s. */
const leftoverTimeoutMs = 70_000;
const pollMs = 25;

/** Containers of an OCI runtime: of libcrun in this process, or of runc by its program. */
export class OciBackend implements Backend {
  readonly name: OciRuntimeKind["name"];
  readonly untraced = "stopped";
  readonly #options: OciOptions;
  readonly #place: Place;
  readonly #canOverlay: (bundle: string) => Promise<boolean>;
  readonly #accountsOf = accountsReader();
  /** What a check has made of specs that have not come to be yet. */
  readonly #configs = new WeakMap<ContainerSpec, OciConfig>();

  constructor(options: OciOptions) {
    const { kind, log } = options;
    this.name = kind.name;
    this.#options = options;
    this.#place = options;
    this.#canOverlay = overlayTrial({ runtime: () => kind.load(), log });
  }

  async features(): Promise<Features["backends"][number]> {
    try {
      const runtime = await this.#runtime();
      const oci = await runtime.features?.();
      return {
        name: this.name,
        available: true,
        version: runtime.version,
        ...(oci !== undefined && { oci }),
      };
    } catch (error) {
      const { code, message } = asNexcageError(error);
      if (code !== "BACKEND_UNAVAILABLE") throw error;
      return { name: this.name, available: false, reason: message };
    }
  }

  async observe(id: ContainerId): Promise<Live | undefined> {
    return lookAt(id, this.#place);
  }

  async observeAll(): Promise<Map<ContainerId, Live>> {
    const found = new Map<ContainerId, Live>();
    for (const id of containerIds(this.#place)) {
      const live = lookAt(id, this.#place);
      if (live !== undefined) found.set(id, live);
    }
    return found;
  }

  async waitForEnd(
    id: ContainerId,
    { timeoutMs, signal }: Waiting & { timeoutMs: number },
  ): Promise<boolean> {
    const hasStopped = (): boolean => {
      const status = lookAt(id, this.#place)?.status;
      return status === undefined || status === "stopped" || status === "creating";
    };
    if (!(await waitUntil(hasStopped, { timeoutMs, pollMs, signal }))) return false;
    const isRecorded = (): boolean => lookAt(id, this.#place)?.monitor !== "alive";
    await waitUntil(isRecorded, { timeoutMs: recordTimeoutMs, pollMs, signal });
    return true;
  }

  async check(spec: ContainerSpec): Promise<void> {
    await this.#runtime();
    this.#configs.set(spec, await this.#configOf(spec));
  }

  async create(spec: ContainerSpec, { files, onStep, signal }: CreateOptions): Promise<void> {
    const { paths } = this.#options;
    const { id } = spec;
    const runtime = await this.#runtime();
    await using undo = new AsyncDisposableStack();
    await onStep("preparing");
    if (files === "new") {
      await removeFiles(id, paths); // nobody's: no container has this name
      undo.defer(() => removeFiles(id, paths));
    } else forgetEnd(id, paths);
    makeFolders(id, this.#place);
    const config = this.#configs.get(spec) ?? (await this.#configOf(spec));
    const rootfs = await provision(spec, config, {
      ...this.#options,
      canOverlay: this.#canOverlay,
      signal,
    });
    await onStep("creating");
    try {
      await runtime.create(this.#ref(id), {
        bundle: paths.bundle(id),
        overlay: rootfs?.overlay,
        output: { kind: "monitor", ...this.#monitored(id) },
      });
    } catch (error) {
      // One that is there is somebody else's.
      if (asNexcageError(error).code !== "CONTAINER_EXISTS") undo.defer(() => this.stopNow(id));
      throw error;
    }
    undo.move();
  }

  async start(id: ContainerId): Promise<void> {
    const runtime = await this.#runtime();
    await runtime.start(this.#ref(id));
  }

  async kill(id: ContainerId, signal: string, { all }: { all: boolean }): Promise<void> {
    const runtime = await this.#runtime();
    await runtime.kill(this.#ref(id), signal, { all });
  }

  async stopNow(id: ContainerId): Promise<void> {
    // Nothing since the host started, as after a reboot: then the runtime need not even be there.
    if (!containerIds(this.#place).includes(id) && watcherOf(id, this.#place) === 0) return;
    const runtime = await this.#runtime();
    await runtime.delete(this.#ref(id), { force: true });
    // What a create that was cut off has started may be known to nobody but its cgroup.
    await endCgroup(this.#options.paths.cgroup(id));
    await this.#endMonitor(id);
  }

  async retire(id: ContainerId): Promise<void> {
    await this.stopNow(id);
    await putAside(id, this.#options.paths);
  }

  async restore(id: ContainerId): Promise<void> {
    await this.stopNow(id);
    await bringBack(id, this.#options.paths);
  }

  async undoReplacement(id: ContainerId, { of }: { of: BackendName }): Promise<void> {
    // Another OCI runtime's container has its files where ours are, and brings back its own.
    await (of === "lxc" ? this.delete(id) : this.stopNow(id));
  }

  async discard(id: ContainerId): Promise<void> {
    await dropAside(id, this.#options.paths);
  }

  async delete(id: ContainerId): Promise<void> {
    await this.stopNow(id);
    await removeFiles(id, this.#options.paths);
    await dropAside(id, this.#options.paths);
  }

  async settle(id: ContainerId, { signal }: Waiting): Promise<void> {
    const { kind } = this.#options;
    const isAtWork = (): boolean => {
      // Who makes a container holds its monitor's lock, and becomes the monitor when it is done.
      const pid = watcherOf(id, this.#place);
      const isMaking = pid !== 0 && readProcess(pid)?.command !== monitorName;
      return isMaking || kind.isAtWork?.(this.#ref(id)) === true;
    };
    const isDone = await waitUntil(() => !isAtWork(), { timeoutMs: leftoverTimeoutMs, pollMs, signal });
    if (isDone) return;
    throw new NexcageError("TIMED_OUT", `an agent that is gone is still at work on container ${id}`, {
      hint: `to see what: ps -ef | grep ${id}`,
    });
  }

  async watch(id: ContainerId): Promise<void> {
    const live = lookAt(id, this.#place);
    if (live?.unwatched !== true) return;
    const runtime = await this.#runtime();
    await runtime.attachMonitor({ pid: live.pid, ...this.#monitored(id) });
  }

  async update(
    { id, source, resources = {} }: ContainerSpec,
    { isLive, before }: UpdateOptions,
  ): Promise<void> {
    // A bundle's limits are its own; what does not run gets its limits when it is made again.
    if (!isLive || source.kind === "bundle" || isDeepStrictEqual(before?.resources, resources)) return;
    const runtime = await this.#runtime();
    await runtime.update(this.#ref(id), resourcesUpdate(resources));
  }

  async pause(id: ContainerId): Promise<void> {
    const runtime = await this.#runtime();
    await runtime.pause(this.#ref(id));
  }

  async resume(id: ContainerId): Promise<void> {
    const runtime = await this.#runtime();
    await runtime.resume(this.#ref(id));
  }

  async ps(id: ContainerId): Promise<ProcessInfo[]> {
    const runtime = await this.#runtime();
    return processesOf(await runtime.pids(this.#ref(id)));
  }

  async exec(id: ContainerId, request: ExecRequest): Promise<ExecSession> {
    const runtime = await this.#runtime();
    const pid = lookAt(id, this.#place)?.pid ?? 0;
    const bundle = this.#options.paths.bundle(id);
    return await execIn({ ref: this.#ref(id), pid, bundle }, request, runtime);
  }

  logs(id: ContainerId, request: LogRequest, { signal }: Waiting): AsyncIterable<LogLine[]> {
    const ended = (): boolean => {
      const live = lookAt(id, this.#place);
      return live === undefined || (live.status === "stopped" && live.monitor !== "alive");
    };
    return readLogs(this.#options.paths.logFile(id), { ...request, ended, signal });
  }

  async #configOf(spec: ContainerSpec): Promise<OciConfig> {
    return await configOf(spec, { ...this.#options, accountsOf: this.#accountsOf });
  }

  #ref(id: ContainerId): ContainerRef {
    return { root: this.#options.paths.runtimeRoot(this.name), id };
  }

  #monitored(id: ContainerId): Monitored {
    const { paths } = this.#options;
    return {
      ioPath: paths.io(id, this.name),
      logPath: paths.logFile(id),
      logMaxBytes,
      exitRecordPath: paths.exit(id),
    };
  }

  #runtime(): Promise<OciRuntime> {
    return this.#options.kind.load();
  }

  /** The monitor ends by itself, with the last output and the exit record; its files are needed no more. */
  async #endMonitor(id: ContainerId): Promise<void> {
    const isGone = (): boolean => watcherOf(id, this.#place) === 0;
    const signal = AbortSignal.timeout(2 * recordTimeoutMs);
    if (await waitUntil(isGone, { timeoutMs: recordTimeoutMs, pollMs, signal })) return;
    const pid = watcherOf(id, this.#place);
    if (pid > 0) process.kill(pid, "SIGKILL");
    await waitUntil(isGone, { timeoutMs: recordTimeoutMs, pollMs, signal });
  }
}
