import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Features, LogLine, ProcessInfo } from "../../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
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
import { containerIds, isWatched, lookAt, monitorName } from "./look.ts";
import type { ContainerRef, Native } from "./native.ts";
import { accountsReader, configOf, overlayTrial, provision } from "./provision.ts";

export type CrunOptions = {
  paths: Paths;
  /** Loads libcrun at its first use; rejects with the reason where it cannot. */
  native: () => Promise<Native>;
  images: () => Promise<ImageStore>;
  log: Log;
};

type Waiting = { signal: AbortSignal };

/** A container's log takes twice this at most: it is rotated once. */
const logMaxBytes = 8 * 1024 * 1024;
/** After the init's end the monitor writes what is left of the output, then how it ended. */
const recordTimeoutMs = 5_000;
/** A killed agent's libcrun call goes on by itself; each has its own limit of 60 s. */
const leftoverTimeoutMs = 70_000;
const pollMs = 25;

/** Containers by libcrun, in this process. */
export class CrunBackend implements Backend {
  readonly name = "crun";
  readonly untraced = "stopped";
  readonly #options: CrunOptions;
  readonly #canOverlay: (bundle: string) => Promise<boolean>;
  readonly #accountsOf = accountsReader();
  /** What a check has made of specs that have not come to be yet. */
  readonly #configs = new WeakMap<ContainerSpec, OciConfig>();

  constructor(options: CrunOptions) {
    this.#options = options;
    this.#canOverlay = overlayTrial(options);
  }

  async features(): Promise<Features["backends"][number]> {
    try {
      const { libcrunVersion } = await this.#options.native();
      return { name: this.name, available: true, version: libcrunVersion };
    } catch (error) {
      const { code, message } = asNexcageError(error);
      if (code !== "BACKEND_UNAVAILABLE") throw error;
      return { name: this.name, available: false, reason: message };
    }
  }

  async observe(id: ContainerId): Promise<Live | undefined> {
    return lookAt(id, this.#options.paths);
  }

  async observeAll(): Promise<Map<ContainerId, Live>> {
    const { paths } = this.#options;
    const found = new Map<ContainerId, Live>();
    for (const id of containerIds(paths)) {
      const live = lookAt(id, paths);
      if (live !== undefined) found.set(id, live);
    }
    return found;
  }

  async waitForEnd(
    id: ContainerId,
    { timeoutMs, signal }: Waiting & { timeoutMs: number },
  ): Promise<boolean> {
    const hasStopped = (): boolean => {
      const status = lookAt(id, this.#options.paths)?.status;
      return status === undefined || status === "stopped" || status === "creating";
    };
    if (!(await waitUntil(hasStopped, { timeoutMs, pollMs, signal }))) return false;
    const isRecorded = (): boolean => lookAt(id, this.#options.paths)?.monitor !== "alive";
    await waitUntil(isRecorded, { timeoutMs: recordTimeoutMs, pollMs, signal });
    return true;
  }

  async check(spec: ContainerSpec): Promise<void> {
    await this.#options.native();
    this.#configs.set(spec, await this.#configOf(spec));
  }

  async create(spec: ContainerSpec, { files, onStep, signal }: CreateOptions): Promise<void> {
    const { paths } = this.#options;
    const { id } = spec;
    const native = await this.#options.native();
    await using undo = new AsyncDisposableStack();
    await onStep("preparing");
    if (files === "new") {
      await removeFiles(id, paths); // nobody's: no container has this name
      undo.defer(() => removeFiles(id, paths));
    } else forgetEnd(id, paths);
    makeFolders(id, paths);
    const config = this.#configs.get(spec) ?? (await this.#configOf(spec));
    const rootfs = await provision(spec, config, {
      ...this.#options,
      canOverlay: this.#canOverlay,
      signal,
    });
    await onStep("creating");
    await native.create(this.#ref(id), {
      bundle: paths.bundle(id),
      overlay: rootfs?.overlay,
      output: {
        kind: "monitor",
        ioPath: paths.io(id),
        logPath: paths.logFile(id),
        logMaxBytes,
        exitRecordPath: paths.exit(id),
      },
    });
    undo.move();
  }

  async start(id: ContainerId): Promise<void> {
    const native = await this.#options.native();
    await native.start(this.#ref(id));
  }

  async kill(id: ContainerId, signal: string, { all }: { all: boolean }): Promise<void> {
    const native = await this.#options.native();
    await native.kill(this.#ref(id), signal, { all });
  }

  async stopNow(id: ContainerId): Promise<void> {
    const { paths } = this.#options;
    // Nothing since the host started, as after a reboot: then libcrun need not even be there.
    if (!containerIds(paths).includes(id) && !isWatched(id, paths)) return;
    const native = await this.#options.native();
    await native.delete(this.#ref(id), { force: true });
    await this.#endMonitor(id, native);
  }

  async retire(id: ContainerId): Promise<void> {
    await this.stopNow(id);
    await putAside(id, this.#options.paths);
  }

  async restore(id: ContainerId): Promise<void> {
    await this.stopNow(id);
    await bringBack(id, this.#options.paths);
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
    const { paths, native } = this.#options;
    if (!isWatched(id, paths)) return;
    const { monitorPid } = await native();
    // Who makes a container holds its monitor's lock, and becomes the monitor when it is done.
    for (const deadline = performance.now() + leftoverTimeoutMs; performance.now() < deadline; ) {
      const pid = await monitorPid(paths.io(id));
      if (pid === 0 || readProcess(pid)?.command === monitorName) return;
      await sleep(pollMs, undefined, { signal });
    }
    throw new NexcageError("TIMED_OUT", `container ${id} is still being made by an agent that is gone`);
  }

  async watch(id: ContainerId): Promise<void> {
    const { paths } = this.#options;
    const live = lookAt(id, paths);
    if (live?.unwatched !== true) return;
    const native = await this.#options.native();
    await native.attachMonitor({
      pid: live.pid,
      ioPath: paths.io(id),
      logPath: paths.logFile(id),
      logMaxBytes,
      exitRecordPath: paths.exit(id),
    });
  }

  async update(
    { id, source, resources = {} }: ContainerSpec,
    { isLive, before }: UpdateOptions,
  ): Promise<void> {
    // A bundle's limits are its own; what does not run gets its limits when it is made again.
    if (!isLive || source.kind === "bundle" || isDeepStrictEqual(before?.resources, resources)) return;
    const native = await this.#options.native();
    await native.update(this.#ref(id), resourcesUpdate(resources));
  }

  async pause(id: ContainerId): Promise<void> {
    const native = await this.#options.native();
    await native.pause(this.#ref(id));
  }

  async resume(id: ContainerId): Promise<void> {
    const native = await this.#options.native();
    await native.resume(this.#ref(id));
  }

  async ps(id: ContainerId): Promise<ProcessInfo[]> {
    const native = await this.#options.native();
    return processesOf(await native.pids(this.#ref(id)));
  }

  async exec(id: ContainerId, request: ExecRequest): Promise<ExecSession> {
    const { paths } = this.#options;
    const native = await this.#options.native();
    const pid = lookAt(id, paths)?.pid ?? 0;
    return await execIn({ ref: this.#ref(id), pid, bundle: paths.bundle(id) }, request, native);
  }

  logs(id: ContainerId, request: LogRequest, { signal }: Waiting): AsyncIterable<LogLine[]> {
    const { paths } = this.#options;
    const ended = (): boolean => {
      const live = lookAt(id, paths);
      return live === undefined || (live.status === "stopped" && live.monitor !== "alive");
    };
    return readLogs(paths.logFile(id), { ...request, ended, signal });
  }

  async #configOf(spec: ContainerSpec): Promise<OciConfig> {
    return await configOf(spec, { ...this.#options, accountsOf: this.#accountsOf });
  }

  #ref(id: ContainerId): ContainerRef {
    return { root: this.#options.paths.crunRoot, id };
  }

  /** The monitor ends by itself, with the last output and the exit record; its files are needed no more. */
  async #endMonitor(id: ContainerId, native: Native): Promise<void> {
    const { paths } = this.#options;
    const isGone = (): boolean => !isWatched(id, paths);
    const signal = AbortSignal.timeout(2 * recordTimeoutMs);
    if (await waitUntil(isGone, { timeoutMs: recordTimeoutMs, pollMs, signal })) return;
    const pid = await native.monitorPid(paths.io(id));
    if (pid > 0) process.kill(pid, "SIGKILL");
    await waitUntil(isGone, { timeoutMs: recordTimeoutMs, pollMs, signal });
  }
}
