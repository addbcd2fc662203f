import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Features, LogLine, ProcessInfo } from "../../../shared/container.ts";
import { asNexcageError, hasCode, NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import { type ContainerSpec, specDigest } from "../../../shared/spec.ts";
import type { ImageStore } from "../../images/store.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import type { LockFile } from "../../state/lock.ts";
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
import { requireGuestPossible } from "./check.ts";
import { readConsole, removeConsole, rotateConsole } from "./console-log.ts";
import { execInGuest } from "./exec.ts";
import {
  configFolder,
  findGuest,
  freezerOf,
  type Guest,
  initOf,
  macsOf,
  processesOfGuest,
  readGuest,
  readGuests,
  runningVmids,
  statusOf,
  takenVmids,
} from "./guests.ts";
import { formatMark, withMark } from "./mark.ts";
import { changedOptions, optionsOf, rawLinesOf, toArguments } from "./options.ts";
import { endWorkers, pct, workersOf } from "./pct.ts";
import { writeRawLines } from "./raw-lines.ts";
import { templateArchive } from "./template-archive.ts";
import { claimVmid, dropClaim, readClaim } from "./vmids.ts";

export type LxcOptions = {
  paths: Paths;
  images: () => Promise<ImageStore>;
  lockFile: LockFile;
  log: Log;
};

type Waiting = { signal: AbortSignal };

/** How long pct may take: a create unpacks an archive and makes a file system. */
const timeouts = { create: 900_000, change: 120_000 } as const;
/** A backup or a snapshot that has the guest is waited for so long. */
const lockedTimeoutMs = 60_000;
const pollMs = 100;

/** Proxmox containers: changes by pct, everything else from the files of Proxmox and the kernel. */
export class LxcBackend implements Backend {
  readonly name = "lxc";
  readonly untraced = "gone";
  readonly #options: LxcOptions;

  constructor(options: LxcOptions) {
    this.#options = options;
  }

  async features(): Promise<Features["backends"][number]> {
    const name = this.name;
    if (!["/usr/sbin/pct", "/usr/bin/pct"].some((path) => existsSync(path)))
      return {
        name,
        available: false,
        reason: "lxc: there is no pct on this host: it is no Proxmox VE host",
      };
    if (!existsSync(configFolder))
      return { name, available: false, reason: `lxc: there is no ${configFolder}: is pve-cluster running?` };
    return { name, available: true };
  }

  async observe(id: ContainerId): Promise<Live | undefined> {
    const guest = findGuest(id);
    return guest === undefined ? this.#halfMade(id) : this.#live(guest, id, runningVmids());
  }

  async observeAll(): Promise<Map<ContainerId, Live>> {
    const running = runningVmids();
    return new Map(
      readGuests().flatMap((guest): [ContainerId, Live][] => {
        const { mark } = guest;
        return mark === undefined || mark.aside === true
          ? []
          : [[mark.id, this.#live(guest, mark.id, running)]];
      }),
    );
  }

  async waitForEnd(
    id: ContainerId,
    { timeoutMs, signal }: Waiting & { timeoutMs: number },
  ): Promise<boolean> {
    const { vmid } = findGuest(id) ?? {};
    const hasEnded = (): boolean => vmid === undefined || !runningVmids().has(vmid);
    return await waitUntil(hasEnded, { timeoutMs, signal });
  }

  async check(spec: ContainerSpec): Promise<void> {
    const { available, reason = "" } = await this.features();
    if (!available) throw new NexcageError("BACKEND_UNAVAILABLE", reason);
    requireGuestPossible(spec, { aside: findGuest(spec.id) });
    if (spec.source.kind === "image") await (await this.#options.images()).rootfs(spec.source.digest);
  }

  async create(spec: ContainerSpec, options: CreateOptions): Promise<void> {
    if (options.files === "kept") {
      this.#require(spec.id); // a stopped guest needs no making: it starts
      return;
    }
    await options.onStep("preparing");
    await this.check(spec);
    await this.#removeHalfMade(spec.id);
    const template = await this.#template(spec, options);
    await this.#createGuest(spec, template, options);
  }

  async start(id: ContainerId): Promise<void> {
    const { vmid } = this.#require(id);
    await rotateConsole(this.#consoleLog(id));
    await mkdir(dirname(this.#consoleLog(id)), { recursive: true, mode: 0o755 });
    await this.#unlocked(vmid);
    try {
      await this.#change(["start", vmid]);
    } catch (error) {
      // pct may fail after the start, and a short-lived init may have ended by now.
      if (!runningVmids().has(vmid)) throw error;
    }
  }

  async kill(id: ContainerId, signal: string, { all }: { all: boolean }): Promise<void> {
    const { vmid } = this.#require(id);
    const pids = all ? processesOfGuest(vmid) : [initOf(vmid)].filter((pid) => pid > 0);
    const sent = pids.filter((pid) => sendSignal(pid, signal));
    this.#options.log.debug({ containerId: id, vmid, signal, pids: sent }, "signal sent to pids of the host");
    if (sent.length === 0) throw new NexcageError("CONTAINER_NOT_RUNNING", `container ${id} is not running`);
  }

  async shutdown(id: ContainerId, { gracePeriodMs }: { gracePeriodMs: number }): Promise<void> {
    const { vmid } = this.#require(id);
    await this.#thaw(vmid);
    const seconds = Math.max(1, Math.ceil(gracePeriodMs / 1_000));
    await this.#change(["shutdown", vmid, "--timeout", String(seconds), "--forceStop", "1"], {
      timeoutMs: (seconds + 15) * 1_000,
    });
  }

  async stopNow(id: ContainerId): Promise<void> {
    const guest = findGuest(id);
    if (guest !== undefined) await this.#stopGuest(guest.vmid);
  }

  async retire(id: ContainerId): Promise<void> {
    const guest = findGuest(id);
    if (guest?.mark === undefined) return;
    await this.#stopGuest(guest.vmid);
    const description = withMark(guest.config.description, { ...guest.mark, aside: true });
    await this.#change(["set", guest.vmid, "--description", description]);
  }

  async restore(id: ContainerId): Promise<void> {
    const aside = findGuest(id, { aside: true });
    if (aside?.mark === undefined) return await this.stopNow(id);
    await this.#undoCreate(id);
    const { aside: _, ...mark } = aside.mark;
    await this.#change(["set", aside.vmid, "--description", withMark(aside.config.description, mark)]);
  }

  async discard(id: ContainerId): Promise<void> {
    const aside = findGuest(id, { aside: true });
    if (aside !== undefined) await this.#destroy(aside.vmid);
  }

  async delete(id: ContainerId): Promise<void> {
    await this.#undoCreate(id);
    await this.discard(id);
    await removeConsole(this.#consoleLog(id));
  }

  async settle(id: ContainerId, { signal }: Waiting): Promise<void> {
    const { paths, log } = this.#options;
    const vmid = findGuest(id)?.vmid ?? readClaim(id, paths);
    if (vmid === undefined) return;
    // A killed pct leaves its worker: it is given the time that it needs, and ended after that.
    const hasEnded = (): boolean => workersOf(vmid).length === 0;
    if (!(await waitUntil(hasEnded, { timeoutMs: timeouts.change, signal }))) endWorkers(vmid, log);
  }

  async watch(): Promise<void> {} // LXC's own monitor reads the console

  async update(spec: ContainerSpec, { before }: UpdateOptions): Promise<void> {
    const guest = this.#require(spec.id);
    const { vmid, config, mark } = guest;
    const macs = macsOf(guest);
    await this.#unlocked(vmid);
    const wanted = optionsOf(spec, { macs });
    const { set, remove } = changedOptions(
      before === undefined ? new Map() : optionsOf(before, { macs }),
      wanted,
    );
    set.set("description", withMark(config.description, { ...mark, id: spec.id, digest: specDigest(spec) }));
    const removal = remove.length === 0 ? [] : ["--delete", remove.join(",")];
    await this.#change(["set", vmid, ...toArguments(set), ...removal]);
    await this.#grow(spec, vmid);
    await this.#writeRawLines(spec, vmid);
  }

  async pause(id: ContainerId): Promise<void> {
    const { path, frozen } = freezerOf(this.#require(id).vmid);
    await writeFile(path, frozen);
  }

  async resume(id: ContainerId): Promise<void> {
    await this.#thaw(this.#require(id).vmid);
  }

  async ps(id: ContainerId): Promise<ProcessInfo[]> {
    return processesOf(processesOfGuest(this.#require(id).vmid));
  }

  async exec(id: ContainerId, request: ExecRequest): Promise<ExecSession> {
    const { vmid } = this.#require(id);
    const init = initOf(vmid);
    if (init === 0) throw new NexcageError("CONTAINER_NOT_RUNNING", `container ${id} is not running`);
    return await execInGuest(vmid, init, request);
  }

  logs(id: ContainerId, request: LogRequest, { signal }: Waiting): AsyncIterable<LogLine[]> {
    const { vmid } = this.#require(id);
    const ended = (): boolean => !runningVmids().has(vmid);
    return readConsole(this.#consoleLog(id), { ...request, ended, signal });
  }

  #live(guest: Guest, id: ContainerId, running: ReadonlySet<number>): Live {
    const hasRun = existsSync(this.#consoleLog(id));
    return {
      ...statusOf(guest, { running, hasRun }),
      annotations: { "io.nexcage.vmid": String(guest.vmid) },
    };
  }

  /** While a guest is made it has no description, and so no mark: it is known by our claim. */
  #halfMade(id: ContainerId): Live | undefined {
    const vmid = readClaim(id, this.#options.paths);
    const guest = vmid === undefined ? undefined : readGuest(vmid);
    return guest?.config.values.get("lock") === "create" ? { status: "creating", pid: 0 } : undefined;
  }

  #require(id: ContainerId): Guest {
    const guest = findGuest(id);
    if (guest !== undefined) return guest;
    throw new NexcageError("CONTAINER_NOT_FOUND", `Proxmox has no container ${id} any more`, {
      hint: "was it destroyed, or its description changed? apply makes it again",
    });
  }

  #consoleLog(id: ContainerId): string {
    return this.#options.paths.consoleLog(id);
  }

  async #template({ source }: ContainerSpec, { signal }: Waiting): Promise<string> {
    if (source.kind === "template") return source.volume;
    if (source.kind === "bundle")
      throw new NexcageError("SPEC_REFUSED", "bundle: lxc makes no container from a bundle");
    const images = await this.#options.images();
    return await templateArchive(await images.rootfs(source.digest), { signal });
  }

  async #createGuest(spec: ContainerSpec, template: string, options: CreateOptions): Promise<void> {
    const { paths, log } = this.#options;
    const { signal, onStep, fleet } = options;
    const { id } = spec;
    const facts = requireGuestPossible(spec, { aside: findGuest(id, { aside: true }) });
    // One at a time on a storage: Proxmox's own lock on it times out where several want it.
    const storageLock = join(paths.lock, `storage-${facts.storage}`);
    await using _lock = await this.#options.lockFile(storageLock, { wait: true, signal });
    const macs = facts.aside === undefined ? new Map<string, string>() : macsOf(facts.aside);
    const mark = { id, digest: specDigest(spec), ...(fleet !== undefined && { fleet }) };
    const size = spec.proxmox?.rootfsBytes;
    const rootfs = `${facts.storage}:${size === undefined ? defaultRootfsGib : size / 1024 ** 3}`;
    const words = [
      template,
      ...toArguments(optionsOf(spec, { macs })),
      ...["--description", formatMark(mark)],
      ...["--rootfs", spec.readOnly === true ? `${rootfs},ro=1` : rootfs],
      ...["--unprivileged", spec.proxmox?.unprivileged === false ? "0" : "1"],
      ...(spec.source.kind === "image" ? ["--ostype", "unmanaged"] : []),
    ];
    const taken = new Set<number>();
    for (;;) {
      const vmid = await claimVmid(spec, () => takenVmids().union(taken), { ...this.#options, signal });
      await onStep("creating");
      try {
        await pct(["create", vmid, ...words], { log, signal, timeoutMs: timeouts.create });
        await this.#writeRawLines(spec, vmid);
        await dropClaim(id, paths);
        return;
      } catch (error) {
        const { code } = asNexcageError(error);
        if (code !== "CONTAINER_EXISTS" || spec.proxmox?.vmid !== undefined) {
          await this.#undoCreate(id).catch((err: unknown) =>
            log.error({ err, containerId: id }, "could not clean up"),
          );
          throw error;
        }
        taken.add(vmid); // somebody was faster: their guest, not ours
      }
    }
  }

  /** What is half made, or made and not taken over; never the guest that it was to replace. */
  async #undoCreate(id: ContainerId): Promise<void> {
    await this.#removeHalfMade(id);
    const made = findGuest(id);
    if (made !== undefined) await this.#destroy(made.vmid);
  }

  async #writeRawLines(spec: ContainerSpec, vmid: number): Promise<void> {
    const { paths, lockFile } = this.#options;
    const lines = rawLinesOf(spec, { consoleLog: paths.consoleLog(spec.id) });
    await writeRawLines(vmid, lines, { lockFile, signal: AbortSignal.timeout(30_000) });
  }

  async #grow({ proxmox }: ContainerSpec, vmid: number): Promise<void> {
    const now = sizeOf(readGuest(vmid));
    const wanted = proxmox?.rootfsBytes;
    if (wanted === undefined || now === undefined || wanted === now) return;
    if (wanted < now)
      throw new NexcageError(
        "SPEC_REFUSED",
        `proxmox.rootfs_size: guest ${vmid} has more already, and cannot shrink`,
      );
    await this.#change(["resize", vmid, "rootfs", `${wanted / 1024 ** 2}M`]);
    // pct may fail here and exit with 0.
    if (sizeOf(readGuest(vmid)) !== wanted)
      throw new NexcageError("RUNTIME_FAILED", `pct resize ${vmid}: the size did not change`);
  }

  async #stopGuest(vmid: number): Promise<void> {
    if (!runningVmids().has(vmid)) return;
    await this.#thaw(vmid);
    await this.#change(["stop", vmid, "--overrule-shutdown", "1"]);
  }

  /** Its volumes go as well, those too that an interrupted change has left. */
  async #destroy(vmid: number): Promise<void> {
    await this.#stopGuest(vmid);
    await this.#unlocked(vmid);
    if (readGuest(vmid)?.config.values.get("protection") === "1")
      await this.#change(["set", vmid, "--protection", "0"]);
    await this.#change(["destroy", vmid, "--purge", "1", "--destroy-unreferenced-disks", "1"]);
  }

  /**
   * Removes what a killed create has left under our own claim: pct keeps its lock, its volume and its mount.
   * Nothing else of a guest that is locked is ever touched.
   */
  async #removeHalfMade(id: ContainerId): Promise<void> {
    const { paths, log } = this.#options;
    const vmid = readClaim(id, paths);
    if (vmid === undefined) return;
    const guest = readGuest(vmid);
    if (guest?.config.values.get("lock") === "create" && guest.mark === undefined) {
      endWorkers(vmid, log);
      const { execa } = await import("execa");
      await execa("umount", ["--recursive", `/var/lib/lxc/${vmid}/rootfs`], {
        reject: false,
        timeout: 30_000,
      });
      await this.#change(["unlock", vmid]);
      await this.#change(["destroy", vmid, "--purge", "1", "--destroy-unreferenced-disks", "1"]);
    }
    await dropClaim(id, paths);
  }

  async #thaw(vmid: number): Promise<void> {
    const { path, thawed } = freezerOf(vmid);
    await writeFile(path, thawed).catch((error: unknown) => {
      if (!hasCode(error, "ENOENT")) throw error;
    });
  }

  /** Waits for who has the guest: a backup, a snapshot, a migration. It is never unlocked by us. */
  async #unlocked(vmid: number): Promise<void> {
    const lock = (): string | undefined => readGuest(vmid)?.config.values.get("lock");
    const isFree = (): boolean => lock() === undefined || lock() === "mounted";
    const signal = AbortSignal.timeout(2 * lockedTimeoutMs);
    if (await waitUntil(isFree, { timeoutMs: lockedTimeoutMs, signal })) return;
    throw new NexcageError("LOCK_HELD", `guest ${vmid} is locked by Proxmox: ${lock()}`, {
      hint: `wait until that has ended: pct config ${vmid}; nexcage never unlocks a guest`,
    });
  }

  async #change(
    words: [string, number, ...string[]],
    { timeoutMs = timeouts.change }: { timeoutMs?: number } = {},
  ): Promise<void> {
    const signal = new AbortController().signal; // what has begun is finished
    await pct(words, { log: this.#options.log, signal, timeoutMs });
  }
}

/** Proxmox's own size for a new root file system. */
const defaultRootfsGib = 4;

function sizeOf(guest: Guest | undefined): number | undefined {
  const [, number, unit = ""] =
    /(?:^|,)size=(\d+)([KMGT]?)/.exec(guest?.config.values.get("rootfs") ?? "") ?? [];
  return number === undefined ? undefined : Number(number) * 1024 ** " KMGT".indexOf(unit || " ");
}

/** False where there is no such process any more. */
function sendSignal(pid: number, signal: string): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (hasCode(error, "ESRCH")) return false;
    throw error;
  }
}

async function waitUntil(
  isSo: () => boolean,
  { timeoutMs, signal }: Waiting & { timeoutMs: number },
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (isSo()) return true;
    if (performance.now() >= deadline) return false;
    await sleep(pollMs, undefined, { signal });
  }
}
