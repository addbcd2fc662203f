import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { asNexcageError, hasCode, NexcageError } from "../../../shared/errors.ts";
import type { ContainerId } from "../../../shared/ids.ts";
import { type ContainerSpec, defaultRootfsBytes } from "../../../shared/spec.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import type { LockFile } from "../../state/lock.ts";
import type { CreateOptions } from "../backend.ts";
import { requireGuestPossible } from "./check.ts";
import {
  findGuest,
  freezerOf,
  type Guest,
  macsOf,
  nodeName,
  readGuest,
  runningVmids,
  takenVmids,
} from "./guests.ts";
import { haArguments, haManager, isManaged, readHaResource, requestHa } from "./ha.ts";
import { formatMark, markOf } from "./mark.ts";
import { optionsOf, rawLinesOf, toArguments } from "./options.ts";
import { pct } from "./pct.ts";
import { writeRawLines } from "./raw-lines.ts";
import { claimVmid, dropClaim, readClaim } from "./vmids.ts";
import { waitUntil } from "./wait-until.ts";

/** How long pct may take: a create unpacks an archive and makes a file system. */
const timeouts = { create: 900_000, change: 120_000 } as const;
/** A backup or a snapshot that has the guest is waited for so long. */
const lockedTimeoutMs = 60_000;

/** What is done to guests, by pct: each is safe to do again after it was cut off. */
export class GuestChanges {
  readonly #options: { paths: Paths; lockFile: LockFile; log: Log };

  constructor(options: { paths: Paths; lockFile: LockFile; log: Log }) {
    this.#options = options;
  }

  async create(spec: ContainerSpec, template: string, options: CreateOptions): Promise<void> {
    const { paths, log } = this.#options;
    const { signal, onStep, fleet } = options;
    const { id } = spec;
    const facts = requireGuestPossible(spec, { aside: findGuest(id, { aside: true }), wasHere: false });
    // One at a time on a storage: Proxmox's own lock on it times out where several want it.
    const storageLock = join(paths.lock, `storage-${facts.storage}`);
    await using _lock = await this.#options.lockFile(storageLock, { wait: true, signal });
    const macs = facts.aside === undefined ? new Map<string, string>() : macsOf(facts.aside);
    const rootfs = `${facts.storage}:${(spec.proxmox?.rootfsBytes ?? defaultRootfsBytes) / 1024 ** 3}`;
    const words = [
      template,
      ...toArguments(optionsOf(spec, { macs })),
      ...["--description", formatMark(markOf(spec, { fleet, node: nodeName() }))],
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
        await this.writeRawLines(spec, vmid);
        if (spec.proxmox?.ha !== undefined) await this.manage(spec, vmid);
        await dropClaim(id, paths);
        return;
      } catch (error) {
        const { code } = asNexcageError(error);
        if (code !== "CONTAINER_EXISTS" || spec.proxmox?.vmid !== undefined) {
          await this.undoCreate(id).catch((err: unknown) =>
            log.error({ err, containerId: id }, "could not clean up"),
          );
          throw error;
        }
        taken.add(vmid); // somebody was faster: their guest, not ours
      }
    }
  }

  /** What is half made, or made and not taken over; never the guest that it was to replace. */
  async undoCreate(id: ContainerId): Promise<void> {
    await this.removeHalfMade(id);
    const made = findGuest(id);
    if (made === undefined) return;
    if (isProtected(made)) await this.run(["set", made.vmid, "--protection", "0"]);
    await this.destroy(made.vmid);
  }

  async writeRawLines(spec: ContainerSpec, vmid: number): Promise<void> {
    const { paths, lockFile } = this.#options;
    const lines = rawLinesOf(spec, { consoleLog: paths.consoleLog(spec.id) });
    await writeRawLines(vmid, lines, { lockFile, signal: AbortSignal.timeout(30_000) });
  }

  /** Has the HA manager look after it as its spec says. */
  async manage({ proxmox }: ContainerSpec, vmid: number): Promise<void> {
    const isRunning = runningVmids().has(vmid);
    const args = haArguments(vmid, proxmox?.ha, { there: readHaResource(vmid), isRunning });
    if (args !== undefined) await haManager(args, { log: this.#options.log });
  }

  async grow({ proxmox }: ContainerSpec, vmid: number): Promise<void> {
    const now = sizeOf(readGuest(vmid));
    const wanted = proxmox?.rootfsBytes;
    if (wanted === undefined || now === undefined || wanted <= now) return; // it never shrinks
    await this.run(["resize", vmid, "rootfs", `${wanted / 1024 ** 2}M`]);
    // pct may fail here and exit with 0.
    if (sizeOf(readGuest(vmid)) !== wanted)
      throw new NexcageError("RUNTIME_FAILED", `pct resize ${vmid}: the size did not change`);
  }

  async start(vmid: number): Promise<void> {
    const isSo = (): boolean => runningVmids().has(vmid);
    if (isManaged(vmid)) await requestHa(vmid, "started", { isSo, log: this.#options.log });
    else await this.run(["start", vmid]);
  }

  async shutdown(vmid: number, { gracePeriodMs }: { gracePeriodMs: number }): Promise<void> {
    await this.thaw(vmid);
    const isSo = (): boolean => !runningVmids().has(vmid);
    if (isManaged(vmid))
      return await requestHa(vmid, "stopped", { isSo, gracePeriodMs, log: this.#options.log });
    const seconds = Math.max(1, Math.ceil(gracePeriodMs / 1_000));
    await this.run(["shutdown", vmid, "--timeout", String(seconds), "--forceStop", "1"], {
      timeoutMs: (seconds + 15) * 1_000,
    });
  }

  async stop(vmid: number): Promise<void> {
    const isSo = (): boolean => !runningVmids().has(vmid);
    if (isSo()) return;
    await this.thaw(vmid);
    if (isManaged(vmid)) return await requestHa(vmid, "stopped", { isSo, log: this.#options.log });
    await this.run(["stop", vmid, "--overrule-shutdown", "1"]);
  }

  /** Its volumes go as well, those too that an interrupted change has left. */
  async destroy(vmid: number): Promise<void> {
    await this.stop(vmid);
    await this.unlocked(vmid);
    await this.run(["destroy", vmid, "--purge", "1", "--destroy-unreferenced-disks", "1"]);
  }

  /**
   * Removes what a killed create has left under our own claim: pct keeps its lock, its volume and its mount.
   * Nothing else of a guest that is locked is ever touched.
   */
  async removeHalfMade(id: ContainerId): Promise<void> {
    const { paths } = this.#options;
    const vmid = readClaim(id, paths);
    if (vmid === undefined) return;
    const guest = readGuest(vmid);
    if (guest?.config.values.get("lock") === "create" && guest.mark === undefined) {
      const { execa } = await import("execa");
      await execa("umount", ["--recursive", `/var/lib/lxc/${vmid}/rootfs`], {
        reject: false,
        timeout: 30_000,
      });
      await this.run(["unlock", vmid]);
      await this.run(["destroy", vmid, "--purge", "1", "--destroy-unreferenced-disks", "1"]);
    }
    await dropClaim(id, paths);
  }

  async thaw(vmid: number): Promise<void> {
    const { path, thawed } = freezerOf(vmid);
    await writeFile(path, thawed).catch((error: unknown) => {
      if (!hasCode(error, "ENOENT", "ENODEV")) throw error; // it has just ended
    });
  }

  /** Waits for who has the guest: a backup, a snapshot, a migration. It is never unlocked by us. */
  async unlocked(vmid: number): Promise<void> {
    const lock = (): string | undefined => readGuest(vmid)?.config.values.get("lock");
    const isFree = (): boolean => lock() === undefined || lock() === "mounted";
    const signal = AbortSignal.timeout(2 * lockedTimeoutMs);
    if (await waitUntil(isFree, { timeoutMs: lockedTimeoutMs, signal })) return;
    throw new NexcageError("LOCK_HELD", `guest ${vmid} is locked by Proxmox: ${lock()}`, {
      hint: `wait until that has ended: pct config ${vmid}; nexcage never unlocks a guest`,
    });
  }

  async run(
    words: [string, number, ...string[]],
    { timeoutMs = timeouts.change }: { timeoutMs?: number } = {},
  ): Promise<void> {
    const signal = new AbortController().signal; // what has begun is finished
    await pct(words, { log: this.#options.log, signal, timeoutMs });
  }
}

/** Proxmox itself refuses to destroy it, and so do we. */
export function isProtected({ config }: Guest): boolean {
  return config.values.get("protection") === "1";
}

function sizeOf(guest: Guest | undefined): number | undefined {
  const [, number, unit = ""] =
    /(?:^|,)size=(\d+)([KMGT]?)/.exec(guest?.config.values.get("rootfs") ?? "") ?? [];
  return number === undefined ? undefined : Number(number) * 1024 ** " KMGT".indexOf(unit || " ");
}
