import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { asNexcageError, hasCode, NexcageError } from "../../../shared/errors.ts";
import type { ContainerId, OperationId } from "../../../shared/ids.ts";
import { rawLinesOf } from "../../../shared/raw-lines.ts";
import { type ContainerSpec, defaultRootfsBytes } from "../../../shared/spec.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import { removeWhole, writeWhole } from "../../state/files.ts";
import { type LockFile, lockOneOf } from "../../state/lock.ts";
import type { CreateOptions } from "../backend.ts";
import { carryVolumes, takeVolumesBack } from "./carry-volumes.ts";
import { requireGuestPossible } from "./check.ts";
import {
  claimVolumes,
  dropVolumeClaim,
  freeUnnamed,
  storageOfFresh,
  storagesOfFresh,
} from "./fresh-volumes.ts";
import { parseProperties } from "./guest-config.ts";
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
import { formatMark, markOf, withMark } from "./mark.ts";
import { mountChanges, parseSize, volumesIn } from "./mount-points.ts";
import { optionsOf, toArguments } from "./options.ts";
import { pct } from "./pct.ts";
import { linesOf, writeRawLines } from "./raw-lines.ts";
import { untilReady } from "./ready.ts";
import { removeSnapshots, takeSnapshot, type Which } from "./snapshots.ts";
import { readStorages } from "./storages.ts";
import { claimVmid, dropClaim, readClaim } from "./vmids.ts";
import type { Whole } from "./whole.ts";

/** How long pct may take: a create unpacks an archive and makes a file system. */
const timeouts = { create: 900_000, change: 120_000 } as const;

/** The volumes of what is replaced, by key, and the storage of those that do not say theirs. */
type Later = { carried: ReadonlyMap<string, string>; storage: string };

/** What is done to guests, by pct: each is safe to do again after it was cut off. */
export class GuestChanges {
  readonly #options: { paths: Paths; lockFile: LockFile; log: Log };

  constructor(options: { paths: Paths; lockFile: LockFile; log: Log }) {
    this.#options = options;
  }

  /**
   * @param wanted the spec that it is of, as its mark says
   * @param whole all that is said of it
   * @param archive what it is made from, where it is no template of Proxmox's
   */
  async create(
    wanted: ContainerSpec,
    whole: Whole,
    archive: string | undefined,
    createOptions: CreateOptions,
  ): Promise<void> {
    const { spec } = whole;
    const { paths, log } = this.#options;
    const { signal, onStep, fleet } = createOptions;
    const { id } = spec;
    const facts = requireGuestPossible(spec, { aside: findGuest(id, { aside: true }), wasHere: false });
    // So few at a time on a storage, because Proxmox's own lock on it times out where many want it.
    const storageLock = join(paths.lock, `storage-${facts.storage}`);
    const { storageParallel: count = 1 } = createOptions;
    await using _lock = await lockOneOf(this.#options.lockFile, storageLock, { count, signal });
    const { aside, storage } = facts;
    const macs = aside === undefined ? new Map<string, string>() : macsOf(aside);
    const carried = aside === undefined ? new Map<string, string>() : volumesIn(aside.config);
    const { set: mounts, volumes } = mountChanges(spec, { now: comingFrom(aside, carried), storage });
    const fresh = new Map([...mounts].filter(([, value]) => storageOfFresh(value) !== undefined));
    const binds = new Map([...mounts].filter(([, value]) => value.startsWith("/")));
    const isMountedLater = carried.size + binds.size > 0;
    const mark = markOf(wanted, { fleet, node: nodeName(), volumes });
    const options = optionsOf(spec, { macs });
    if (isMountedLater) options.delete("protection"); // Proxmox mounts nothing in what it protects
    await using keys = await keysFile(spec, paths);
    const rootfs = `${facts.storage}:${(spec.proxmox?.rootfsBytes ?? defaultRootfsBytes) / 1024 ** 3}`;
    const words = [
      archive ?? facts.template ?? "",
      ...toArguments(new Map([...options, ...fresh])),
      ...["--description", formatMark(mark)],
      ...["--rootfs", spec.readOnly === true && !isMountedLater ? `${rootfs},ro=1` : rootfs],
      ...["--unprivileged", spec.proxmox?.unprivileged === false ? "0" : "1"],
      ...(spec.source.kind !== "template" ? ["--ostype", "unmanaged"] : []),
      ...(spec.proxmox?.pool === undefined ? [] : ["--pool", spec.proxmox.pool]),
      ...(keys.path === undefined ? [] : ["--ssh-public-keys", keys.path]),
    ];
    const taken = new Set<number>();
    for (;;) {
      const vmid = await claimVmid(spec, () => takenVmids().union(taken), { ...this.#options, signal });
      await onStep("creating");
      try {
        await pct(["create", vmid, ...words], { log, signal, timeoutMs: timeouts.create });
        await this.#setEntrypoint(vmid, options.get("entrypoint"));
        if (isMountedLater) await this.#mount(spec, vmid, { aside, carried, binds, storage });
        await this.writeRawLines(whole, vmid, { before: undefined });
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

  /** An OCI archive's own has been put in place of what create was asked for. */
  async #setEntrypoint(vmid: number, wanted: string | undefined): Promise<void> {
    if (wanted === undefined || readGuest(vmid)?.config.values.get("entrypoint") === wanted) return;
    await this.run(["set", vmid, "--entrypoint", wanted]);
  }

  /**
   * What is mounted once the root is there: the volumes of what is replaced, and folders of the host, into which
   * pct would unpack the template.
   */
  async #mount(
    spec: ContainerSpec,
    vmid: number,
    { aside, carried, binds, storage }: Later & { aside: Guest | undefined; binds: Map<string, string> },
  ): Promise<void> {
    if (aside === undefined || carried.size === 0)
      await this.set({ id: spec.id, vmid }, { set: binds, remove: [] });
    else await this.#carry(spec, vmid, { aside, carried, storage });
    const last = new Map(spec.proxmox?.protection === true ? [["protection", "1"]] : []);
    if (spec.readOnly === true) {
      // So pct makes the folders on which it mounts.
      await this.run(["mount", vmid]);
      await this.run(["unmount", vmid]);
      last.set("rootfs", `${readGuest(vmid)?.config.values.get("rootfs")},ro=1`);
    }
    if (last.size > 0) await this.set({ id: spec.id, vmid }, { set: last, remove: [] });
  }

  /** What is half made, or made and not taken over; never the guest that it was to replace. */
  async undoCreate(id: ContainerId): Promise<void> {
    await this.removeHalfMade(id);
    const made = findGuest(id);
    if (made === undefined) return;
    if (made.config.values.get("lock") === "mounted") await this.run(["unmount", made.vmid]); // by us
    if (isProtected(made)) await this.run(["set", made.vmid, "--protection", "0"]);
    const aside = findGuest(id, { aside: true });
    if (aside !== undefined) {
      await this.stop(made.vmid);
      await takeVolumesBack(made, aside, { run: (words) => this.run(words) });
    }
    await this.destroy(made.vmid);
  }

  /** The volumes of the guest that is replaced become those of the new one, each as the new spec has it. */
  async #carry(
    spec: ContainerSpec,
    vmid: number,
    { aside, carried, storage }: Later & { aside: Guest },
  ): Promise<void> {
    const run = (words: [string, number, ...string[]]) => this.run(words);
    // Proxmox moves no volume that a snapshot has; what replaces is no longer what could go back to it.
    await removeSnapshots(aside.vmid, "all", { run });
    const now = await carryVolumes(aside.vmid, vmid, { keys: carried.keys(), run });
    const guest = readGuest(vmid);
    if (guest?.mark === undefined)
      throw new NexcageError("RUNTIME_FAILED", `guest ${vmid} is not there any more`);
    // One that was not mounted is known by its volume, which has another name now.
    const renamed = new Map(
      [...carried.keys()].map((key) => [aside.config.values.get(key) ?? "", now[key] ?? ""]),
    );
    const known = Object.entries({ ...guest.mark.volumes, ...aside.mark?.volumes });
    const volumes = Object.fromEntries(known.map(([name, mark]) => [name, renamed.get(mark) ?? mark]));
    const changes = mountChanges(spec, { now: { vmid, config: guest.config, volumes }, storage });
    const mark = { ...guest.mark, volumes: changes.volumes, carried: now };
    const set = new Map([...changes.set, ["description", withMark(guest.config.description, mark)]]);
    await this.set({ id: spec.id, vmid }, { set, remove: changes.remove });
    await this.grow(vmid, changes.grow);
  }

  /** Has the HA manager look after it as its spec says. */
  async manage({ proxmox }: ContainerSpec, vmid: number): Promise<void> {
    const isRunning = runningVmids().has(vmid);
    const args = haArguments(vmid, proxmox?.ha, { there: readHaResource(vmid), isRunning });
    if (args !== undefined) await haManager(args, { log: this.#options.log });
  }

  /** `pct set`, with what is taken away; a volume that it made and did not come to name is freed. */
  async set(
    { id, vmid }: { id: ContainerId; vmid: number },
    { set, remove }: { set: ReadonlyMap<string, string>; remove: string[] },
  ): Promise<void> {
    await this.freeUnnamed(id);
    const storages = storagesOfFresh(set);
    if (storages.size > 0) await claimVolumes({ id, vmid }, storages, this.#options);
    const removal = remove.length === 0 ? [] : ["--delete", remove.join(",")];
    try {
      await this.run(["set", vmid, ...toArguments(set), ...removal]);
    } catch (error) {
      await this.freeUnnamed(id).catch((err: unknown) =>
        this.#options.log.error({ err, containerId: id }, "could not clean up"),
      );
      throw error;
    }
    if (storages.size > 0) dropVolumeClaim(id, this.#options.paths);
  }

  /** Of a `set` that was cut off. */
  async freeUnnamed(id: ContainerId): Promise<void> {
    await freeUnnamed(id, this.#options);
  }

  async writeRawLines(whole: Whole, vmid: number, { before }: { before: Whole | undefined }): Promise<void> {
    const { paths, lockFile } = this.#options;
    const lines = linesOf(whole, { consoleLog: paths.consoleLog(whole.spec.id) });
    const replaced = before === undefined ? [] : [...rawLinesOf(before.spec), ...before.lines];
    await writeRawLines(vmid, { lines, before: replaced }, { lockFile, signal: AbortSignal.timeout(30_000) });
  }

  /** Makes volumes as large as they should be; while the guest runs too. */
  async grow(vmid: number, sizes: { key: string; bytes: number }[]): Promise<void> {
    for (const { key, bytes } of sizes) {
      const output = await this.run(["resize", vmid, key, `${bytes / 1024 ** 2}M`]);
      // pct may fail here and exit with 0: with the volume, or with the file system on it.
      if (/failed/i.test(output))
        this.#options.log.warn(
          { vmid, key, output },
          "a volume has grown, and the file system on it has not",
        );
      if (sizeOf(readGuest(vmid), key) !== bytes)
        throw new NexcageError("RUNTIME_FAILED", `pct resize ${vmid} ${key}: the size did not change`);
    }
  }

  /** @returns why it cannot have one */
  async snapshot(guest: Guest, operationId: OperationId): Promise<string | undefined> {
    const storages = readStorages(nodeName());
    return await takeSnapshot(guest, operationId, { storages, run: (words) => this.run(words) });
  }

  async removeSnapshots(vmid: number, which: Which): Promise<void> {
    await removeSnapshots(vmid, which, { run: (words) => this.run(words) });
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
    try {
      await this.run(["shutdown", vmid, "--timeout", String(seconds), "--forceStop", "1"], {
        timeoutMs: (seconds + 15) * 1_000,
      });
    } catch (error) {
      // It may have ended by itself meanwhile; and a busy host may need longer than the guest.
      if (!isSo() && asNexcageError(error).code !== "TIMED_OUT") throw error;
      await this.stop(vmid);
    }
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
    await untilReady(vmid, { signal: AbortSignal.timeout(180_000) });
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

  async run(
    words: [string, number, ...string[]],
    { timeoutMs = timeouts.change }: { timeoutMs?: number } = {},
  ): Promise<string> {
    const signal = new AbortController().signal; // what has begun is finished
    return await pct(words, { log: this.#options.log, signal, timeoutMs });
  }
}

/** Proxmox itself refuses to destroy it, and so do we. */
export function isProtected({ config }: Guest): boolean {
  return config.values.get("protection") === "1";
}

/** How large one of a guest's volumes is, in bytes; undefined where that is not said. */
export function sizeOf(guest: Guest | undefined, key: string): number | undefined {
  return parseSize(parseProperties(guest?.config.values.get(key) ?? "").get("size"));
}

/** Of what is to be replaced, the volumes that come over: its bind mounts are made anew. */
function comingFrom(aside: Guest | undefined, carried: ReadonlyMap<string, string>) {
  if (aside === undefined) return undefined;
  const values = new Map([...aside.config.values].filter(([key]) => carried.has(key)));
  return { vmid: aside.vmid, config: { values, pending: new Map() }, volumes: aside.mark?.volumes ?? {} };
}

/** A file of the keys that are to be its root's, for pct, which takes no text; gone again afterwards. */
async function keysFile(
  { id, proxmox }: ContainerSpec,
  paths: Paths,
): Promise<AsyncDisposable & { path: string | undefined }> {
  const keys = proxmox?.sshPublicKeys;
  const path = keys === undefined ? undefined : join(paths.claims, `${id}.keys`);
  if (keys !== undefined && path !== undefined)
    await writeWhole(path, keys.map((key) => `${key}\n`).join(""), { mode: 0o600 });
  return {
    path,
    async [Symbol.asyncDispose]() {
      if (path !== undefined) removeWhole(path);
    },
  };
}
