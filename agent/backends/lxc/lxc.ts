import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Features, LogLine, ProcessInfo } from "../../../shared/container.ts";
import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerId, OperationId } from "../../../shared/ids.ts";
import type { Result } from "../../../shared/protocol.ts";
import type { ProxmoxNode } from "../../../shared/proxmox-node.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import type { ImageStore } from "../../images/store.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import { exists } from "../../state/files.ts";
import type { LockFile } from "../../state/lock.ts";
import type {
  Backend,
  Check,
  CreateOptions,
  ExecRequest,
  ExecSession,
  Live,
  LogRequest,
  OnStep,
  UpdateOptions,
} from "../backend.ts";
import { processesOf } from "../processes.ts";
import { waitUntil } from "../wait-until.ts";
import { bundleArchive, removeBundleArchives } from "./bundle-archive.ts";
import { changesOf } from "./changes-of.ts";
import { readNode, requireGuestPossible, requireNoMaintenance, requireQuorum } from "./check.ts";
import {
  discardConsole,
  isLong,
  putConsoleAside,
  readConsole,
  removeConsole,
  takeConsoleBack,
  trimConsole,
} from "./console-log.ts";
import { describeGuest, requireAdoptable } from "./describe.ts";
import { driftOf } from "./drift.ts";
import { execInGuest } from "./exec.ts";
import { GuestChanges, isProtected } from "./guest-changes.ts";
import {
  configFolder,
  findGuest,
  freezerOf,
  type Guest,
  initOf,
  nodeName,
  processesOfGuest,
  readGuest,
  readGuests,
  requireGuest,
  runningVmids,
  statusOf,
} from "./guests.ts";
import { readHaResource } from "./ha.ts";
import { commandsInside, endingSignals, killInside, sendToAll, tryInTurn } from "./kill.ts";
import { bundlesOf, keptOf, markOf, withMark } from "./mark.ts";
import { volumesIn } from "./mount-points.ts";
import { optionsOf } from "./options.ts";
import { workersOf } from "./pct.ts";
import { untilReady } from "./ready.ts";
import { readStorages, readTemplates } from "./storages.ts";
import { templateArchive } from "./template-archive.ts";
import { downloadTemplate } from "./template-download.ts";
import { readClaim } from "./vmids.ts";
import { type Whole, wholeOf } from "./whole.ts";

export type LxcOptions = {
  paths: Paths;
  images: () => Promise<ImageStore>;
  lockFile: LockFile;
  log: Log;
};

type Waiting = { signal: AbortSignal };

/** A killed pct leaves its worker, which is given the time that it needs. */
const leftoverTimeoutMs = 120_000;

/** Proxmox containers: changes by pct, everything else from the files of Proxmox and the kernel. */
export class LxcBackend implements Backend {
  readonly name = "lxc";
  readonly untraced = "gone";
  readonly endingSignals = endingSignals;
  readonly #options: LxcOptions;
  readonly #guests: GuestChanges;

  constructor(options: LxcOptions) {
    this.#options = options;
    this.#guests = new GuestChanges(options);
  }

  node(): ProxmoxNode | undefined {
    return whyMissing() === undefined ? readNode() : undefined;
  }

  async features(): Promise<Features["backends"][number]> {
    const reason = whyMissing();
    return { name: this.name, available: reason === undefined, ...(reason !== undefined && { reason }) };
  }

  async examine(): Promise<Check[]> {
    const { examineNode } = await import("./doctor.ts");
    return await examineNode();
  }

  async observe(id: ContainerId): Promise<Live | undefined> {
    const guest = findGuest(id);
    return guest === undefined ? this.#halfMade(id) : this.#live(guest, id, runningVmids());
  }

  async observeAll(): Promise<Map<ContainerId, Live>> {
    const ours = readGuests().flatMap((guest) => {
      const { mark } = guest;
      return mark === undefined || mark.aside === true ? [] : [{ guest, id: mark.id }];
    });
    const running = ours.length === 0 ? new Set<number>() : runningVmids();
    return new Map(ours.map(({ guest, id }) => [id, this.#live(guest, id, running)]));
  }

  async waitForEnd(
    id: ContainerId,
    { timeoutMs, signal }: Waiting & { timeoutMs: number },
  ): Promise<boolean> {
    const { vmid } = findGuest(id) ?? {};
    const hasEnded = (): boolean => vmid === undefined || !runningVmids().has(vmid);
    return await waitUntil(hasEnded, { timeoutMs, signal });
  }

  async check(spec: ContainerSpec, { wasHere }: { wasHere: boolean }): Promise<void> {
    const { available, reason = "" } = await this.features();
    if (!available) throw new NexcageError("BACKEND_UNAVAILABLE", reason);
    const { spec: whole } = await wholeOf(spec);
    requireGuestPossible(whole, { aside: findGuest(spec.id), wasHere });
    if (spec.source.kind === "image") await (await this.#options.images()).rootfs(spec.source.digest);
  }

  async create(spec: ContainerSpec, options: CreateOptions): Promise<void> {
    if (options.files === "kept") {
      this.#require(spec.id); // a stopped guest needs no making: it starts
      return;
    }
    await options.onStep("preparing");
    await this.check(spec, { wasHere: false });
    await this.#guests.removeHalfMade(spec.id);
    const { paths } = this.#options;
    await downloadTemplate(spec, { ...this.#options, ...options, lockFolder: paths.lock });
    const whole = await wholeOf(spec);
    const { replaced } = whole;
    if (replaced.length > 0)
      this.#options.log.warn(
        { containerId: spec.id, fields: replaced },
        "Proxmox has its own in place of what the bundle says",
      );
    for (;;) {
      const archive = await this.#archive(whole, options);
      try {
        return await this.#guests.create(spec, whole, archive, options);
      } catch (error) {
        // Of a bundle's the last container may just have gone, and the archive with it.
        if (archive === undefined || existsSync(archive)) throw error;
      }
    }
  }

  async start(id: ContainerId): Promise<void> {
    const { vmid } = this.#require(id);
    await trimConsole(this.#consoleLog(id));
    await mkdir(dirname(this.#consoleLog(id)), { recursive: true, mode: 0o755 });
    requireNoMaintenance();
    try {
      await this.#guests.start(vmid);
    } catch (error) {
      // pct may fail after the start, and a short-lived init may have ended by now.
      if (!runningVmids().has(vmid)) throw error;
    }
  }

  async kill(id: ContainerId, signal: string, { all }: { all: boolean }): Promise<void> {
    const { vmid } = this.#require(id);
    const hasStopped = (): boolean => !runningVmids().has(vmid);
    if (hasStopped()) throw new NexcageError("CONTAINER_NOT_RUNNING", `container ${id} is not running`);
    const init = initOf(vmid);
    const pids = all ? processesOfGuest(vmid) : [init];
    const onHost = { way: `kill(2) of ${pids.join(" ")}`, send: async () => sendToAll(pids, signal) };
    const inside = all
      ? []
      : commandsInside(signal).map((words) => ({
          way: words.join(" "),
          send: async () => await killInside(vmid, words),
        }));
    await tryInTurn([onHost, ...inside], {
      what: `${signal} to container ${id}`,
      hasStopped,
      log: (attempt) =>
        this.#options.log.debug({ containerId: id, vmid, signal, ...attempt }, "attempt to send a signal"),
    });
    if (signal === "SIGKILL") await this.#guests.thaw(vmid); // what is frozen dies no earlier
  }

  async shutdown(id: ContainerId, { gracePeriodMs }: { gracePeriodMs: number }): Promise<void> {
    const { vmid } = this.#require(id);
    await this.#guests.shutdown(vmid, { gracePeriodMs });
  }

  async stopNow(id: ContainerId): Promise<void> {
    const guest = findGuest(id);
    if (guest !== undefined) await this.#guests.stop(guest.vmid);
  }

  async retire(id: ContainerId): Promise<void> {
    const guest = findGuest(id);
    if (guest?.mark === undefined) return;
    await this.#guests.stop(guest.vmid);
    // Its volumes go over to its replacement, and come back by this when that fails.
    const kept = Object.fromEntries(volumesIn(guest.config));
    const description = withMark(guest.config.description, { ...guest.mark, aside: true, kept });
    await this.#guests.run(["set", guest.vmid, "--description", description]);
    await putConsoleAside(this.#consoleLog(id));
  }

  async restore(id: ContainerId): Promise<void> {
    const aside = findGuest(id, { aside: true });
    if (aside?.mark === undefined) return await this.stopNow(id);
    await this.#guests.undoCreate(id);
    await takeConsoleBack(this.#consoleLog(id));
    const { aside: _aside, kept: _kept, ...mark } = aside.mark;
    await this.#guests.run(["set", aside.vmid, "--description", withMark(aside.config.description, mark)]);
  }

  async undoReplacement(id: ContainerId): Promise<void> {
    await this.delete(id);
  }

  async discard(id: ContainerId): Promise<void> {
    const aside = findGuest(id, { aside: true });
    if (aside !== undefined) await this.#guests.destroy(aside.vmid);
    await discardConsole(this.#consoleLog(id));
  }

  async requireReady(
    id: ContainerId,
    { writes, ...options }: Waiting & { writes: boolean; onStep?: OnStep | undefined },
  ): Promise<void> {
    if (writes) requireQuorum();
    const guest = findGuest(id);
    if (guest !== undefined) await untilReady(guest.vmid, options);
  }

  async checkRemoval(id: ContainerId): Promise<void> {
    const guest = findGuest(id);
    if (guest === undefined || !isProtected(guest)) return;
    throw new NexcageError("REFUSED", `guest ${guest.vmid} (${id}) is protected in Proxmox`, {
      hint: "say proxmox: {protection: false} and apply that first",
    });
  }

  async delete(id: ContainerId): Promise<void> {
    await this.#guests.removeHalfMade(id);
    await this.#guests.freeUnnamed(id);
    for (const guest of [findGuest(id), findGuest(id, { aside: true })])
      if (guest !== undefined) await this.#guests.destroy(guest.vmid);
    await removeConsole(this.#consoleLog(id));
    const bundles = bundlesOf(readGuests());
    if (bundles !== undefined) await removeBundleArchives(this.#options.paths.templates, { kept: bundles });
  }

  describe(vmids: readonly number[]): Result<"container/describe"> {
    const guests = vmids.map((vmid) => describeGuest(requireGuest(vmid), { ha: readHaResource(vmid) }));
    return { guests, templates: readTemplates(readStorages(nodeName())) };
  }

  async adopt(vmid: number, spec: ContainerSpec, { fleet }: { fleet: string | undefined }): Promise<void> {
    await untilReady(vmid, { signal: AbortSignal.timeout(180_000) });
    const guest = requireGuest(vmid);
    requireAdoptable(guest, spec, { ha: readHaResource(vmid) });
    const { volumes } = changesOf(spec, guest, { before: undefined });
    const mark = markOf(spec, { fleet, node: nodeName(), volumes });
    const description = withMark(guest.config.description, mark);
    const tags = optionsOf(spec).get("tags") ?? "";
    await this.#guests.run(["set", vmid, "--description", description, "--tags", tags]);
    await this.#guests.writeRawLines({ spec, lines: [], replaced: [] }, vmid, { before: undefined });
  }

  async settle(id: ContainerId, { signal }: Waiting): Promise<void> {
    const vmid = findGuest(id)?.vmid ?? readClaim(id, this.#options.paths);
    if (vmid === undefined) return;
    const hasEnded = (): boolean => workersOf(vmid).length === 0;
    if (await waitUntil(hasEnded, { timeoutMs: leftoverTimeoutMs, signal })) {
      await this.#guests.freeUnnamed(id);
      return await this.#guests.removeSnapshots(vmid, "half made");
    }
    const tasks = workersOf(vmid).map(({ type, pid }) => `${type} (pid ${pid})`);
    throw new NexcageError("TIMED_OUT", `Proxmox is still at work on guest ${vmid}: ${tasks.join(", ")}`, {
      hint: "wait for it, or end it: see /var/log/pve/tasks/active",
    });
  }

  async watch(): Promise<void> {} // LXC's own monitor reads the console

  async trimLog(id: ContainerId): Promise<void> {
    await trimConsole(this.#consoleLog(id));
  }

  async update(spec: ContainerSpec, { before: last }: UpdateOptions): Promise<void> {
    const guest = this.#require(spec.id);
    const { vmid, config } = guest;
    // Where it is not known how far an update has come, its mark is what it began with.
    const before = last ?? (guest.mark === undefined ? undefined : keptOf(guest.mark, config)?.spec);
    const whole = await wholeOf(spec);
    const wholeBefore = before === undefined ? undefined : await wholeOf(before);
    const { set, remove, grow, volumes } = changesOf(whole.spec, guest, { before: wholeBefore?.spec });
    const mark = markOf(spec, { fleet: guest.mark?.fleet, node: nodeName(), volumes });
    set.set("description", withMark(config.description, mark));
    await this.#guests.set({ id: spec.id, vmid }, { set, remove });
    await this.#guests.grow(vmid, grow);
    // Who put it under HA without saying so here keeps it there.
    if (before?.proxmox?.ha !== undefined || spec.proxmox?.ha !== undefined)
      await this.#guests.manage(spec, vmid);
    await this.#guests.writeRawLines(whole, vmid, { before: wholeBefore });
  }

  async snapshot(id: ContainerId, operationId: OperationId): Promise<string | undefined> {
    return await this.#guests.snapshot(this.#require(id), operationId);
  }

  async removeSnapshots(
    id: ContainerId,
    which: { of: OperationId } | { otherThan: OperationId },
  ): Promise<void> {
    const guest = findGuest(id);
    if (guest !== undefined) await this.#guests.removeSnapshots(guest.vmid, which);
  }

  async pause(id: ContainerId): Promise<void> {
    const { path, frozen } = freezerOf(this.#require(id).vmid);
    await writeFile(path, frozen);
  }

  async resume(id: ContainerId): Promise<void> {
    await this.#guests.thaw(this.#require(id).vmid);
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
    const log = this.#consoleLog(id);
    return {
      ...statusOf(guest, { running, hasRun: exists(log) }),
      hasLongLog: isLong(log),
      annotations: { "io.nexcage.vmid": String(guest.vmid) },
      drift: (spec) => driftOf(spec, guest),
      kept: guest.mark === undefined ? undefined : keptOf(guest.mark, guest.config),
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

  async #archive({ spec: { source }, root }: Whole, { signal }: Waiting): Promise<string | undefined> {
    const { paths, lockFile } = this.#options;
    const options = { lockFolder: paths.lock, lockFile, signal };
    if (source.kind === "bundle" && root !== undefined)
      return await bundleArchive({ bundle: source.path, root }, { ...options, folder: paths.templates });
    if (source.kind !== "image") return undefined; // looked up when the guest is made
    const images = await this.#options.images();
    const rootfs = await images.rootfs(source.digest);
    // Beside the image's files, and removed with them.
    return await templateArchive({ rootfs, archive: join(dirname(rootfs), "template.tar.zst") }, options);
  }
}

/** Undefined on a node of Proxmox's. */
function whyMissing(): string | undefined {
  if (!["/usr/sbin/pct", "/usr/bin/pct"].some((path) => exists(path)))
    return "lxc: there is no pct on this host: it is no Proxmox VE host";
  if (!exists(configFolder)) return `lxc: there is no ${configFolder}: is pve-cluster running?`;
  return undefined;
}
