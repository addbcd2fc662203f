// snapshot, delsnapshot, rollback, listsnapshot (pve-guest-common, `PVE::AbstractConfig`): btrfs can, a directory cannot.
import { readConf, requireQuorum, requireUnlocked, writeConf } from "../cluster.ts";
import { type Conf, emptySection, type Section } from "../conf.ts";
import { Failure } from "../failure.ts";
import * as formats from "../formats.ts";
import { reach } from "../knobs.ts";
import { withGuestLock } from "../locks.ts";
import { isRunning, killContainer, startContainer } from "../lxc.ts";
import { rootfsDir } from "../paths.ts";
import { runAnyway } from "../run.ts";
import {
  canSnapshot,
  parseVolid,
  removeVolumeSnapshot,
  requireStorage,
  rollBackVolume,
  snapshotVolume,
} from "../storage.ts";
import { boolean, type Call, guestGrammar, text, type Verb } from "../verb.ts";
import { mountPoints } from "../volumes.ts";

/** What a snapshot has of its own, and does not take from the configuration. */
const notCopied = /^(lock|snapstate|snaptime|unused\d+)$/;

export const snapshot: Verb = {
  grammar: guestGrammar("snapshot", {
    positionals: { snapname: formats.snapshotName },
    options: { description: text },
  }),
  async before({ vmid }) {
    readConf(vmid);
    requireQuorum();
  },
  task: {
    type: "vzsnapshot",
    async run(call, { signal }) {
      const { vmid } = call;
      const name = snapshotOf(call);
      const volumes = await withGuestLock(vmid, () => prepare(call));
      try {
        await reach("snapshot.prepared", { vmid, signal });
        if (isRunning(vmid))
          await runAnyway("sync", ["-f", rootfsDir(vmid)], { output: "capture", deaf: true });
        for (const volume of volumes) snapshotVolume(volume, name);
        await reach("snapshot.volumes", { vmid, signal });
      } catch (error) {
        await withGuestLock(vmid, () => remove(vmid, name));
        throw error;
      }
      await withGuestLock(vmid, async () => {
        const conf = readConf(vmid);
        conf.snapshots.get(name)?.values.delete("snapstate");
        conf.values.delete("lock");
        conf.values.set("parent", name);
        await writeConf(vmid, conf);
      });
    },
  },
};

/** The lock and the section, before any volume; the volumes that are to have one. */
async function prepare(call: Call): Promise<string[]> {
  const { vmid, options } = call;
  const name = snapshotOf(call);
  const conf = readConf(vmid);
  requireUnlocked(conf);
  if (conf.snapshots.has(name)) throw new Failure(`snapshot name '${name}' already used`);
  const volumes = mountPoints(conf).map(({ volume }) => volume);
  if (
    !volumes.every(
      (volume) => !volume.startsWith("/") && canSnapshot(requireStorage(parseVolid(volume).storage)),
    )
  )
    throw new Failure("snapshot feature is not available");
  const comment = options.get("description");
  const section: Section = {
    ...emptySection(),
    values: copied(conf),
    lxc: conf.lxc,
    description: comment === undefined ? undefined : `${comment}\n`,
  };
  section.values.set("snapstate", "prepare").set("snaptime", String(Math.trunc(Date.now() / 1000)));
  conf.snapshots.set(name, section);
  conf.values.set("lock", "snapshot");
  await writeConf(vmid, conf);
  return volumes;
}

function snapshotOf({ positionals }: Call): string {
  return positionals.snapname ?? "";
}

function copied({ values }: Section): Map<string, string> {
  return new Map([...values].filter(([key]) => !notCopied.test(key)));
}

/** @throws {Failure} `snapshot 'x' does not exist` */
function requireSnapshot(conf: Conf, name: string): Section {
  const section = conf.snapshots.get(name);
  if (section === undefined) throw new Failure(`snapshot '${name}' does not exist`);
  return section;
}

/** Its volumes, its section, the lock. Who had it for a parent has its parent now. */
async function remove(vmid: string, name: string): Promise<void> {
  const section = requireSnapshot(readConf(vmid), name);
  for (const { volume } of mountPoints(section)) removeVolumeSnapshot(volume, name);
  const conf = readConf(vmid);
  const parent = section.values.get("parent");
  conf.snapshots.delete(name);
  conf.values.delete("lock");
  for (const { values } of [conf, ...conf.snapshots.values()])
    if (values.get("parent") === name) {
      if (parent === undefined) values.delete("parent");
      else values.set("parent", parent);
    }
  await writeConf(vmid, conf);
}

export const delsnapshot: Verb = {
  grammar: guestGrammar("delsnapshot", {
    positionals: { snapname: formats.snapshotName },
    options: { force: boolean },
  }),
  async before({ vmid }) {
    readConf(vmid);
    requireQuorum();
  },
  task: {
    type: "vzdelsnapshot",
    async run(call, { signal }) {
      const { vmid } = call;
      const name = snapshotOf(call);
      await withGuestLock(vmid, async () => {
        const conf = readConf(vmid);
        requireUnlocked(conf);
        requireSnapshot(conf, name).values.set("snapstate", "delete");
        conf.values.set("lock", "snapshot-delete");
        await writeConf(vmid, conf);
      });
      await reach("delsnapshot.prepared", { vmid, signal });
      await withGuestLock(vmid, () => remove(vmid, name));
    },
  },
};

/** Stops what runs; the description and what is unused stay, the rest is as it was. */
export const rollback: Verb = {
  grammar: guestGrammar("rollback", {
    positionals: { snapname: formats.snapshotName },
    options: { start: boolean },
  }),
  async before({ vmid }) {
    readConf(vmid);
    requireQuorum();
  },
  task: {
    type: "vzrollback",
    async run(call, { signal }) {
      const { vmid, options } = call;
      const name = snapshotOf(call);
      await withGuestLock(vmid, async () => {
        const conf = readConf(vmid);
        const section = requireSnapshot(conf, name);
        requireUnlocked(conf);
        const state = section.values.get("snapstate");
        if (state !== undefined)
          throw new Failure(`unable to rollback to incomplete snapshot (snapstate = ${state})`);
        if (isRunning(vmid)) await killContainer(vmid, { signal });
        for (const { volume } of mountPoints(section)) rollBackVolume(volume, name);
        const unused = [...conf.values].filter(([key]) => /^unused\d+$/.test(key));
        const values = new Map([...copied(section), ...unused, ["parent", name]]);
        const restored = { ...conf, values, lxc: section.lxc, pending: emptySection() };
        await writeConf(vmid, restored);
        if (options.get("start") === "1") await startContainer(vmid, restored, { signal });
      });
    },
  },
};

type Listed = { name: string; parent: string | undefined; seconds: number; what: string };

/** Each below its parent, the younger ones later (pve-guest-common, `PVE::GuestHelpers`, `print_snapshot_tree`). */
function tree(level: readonly Listed[], all: readonly Listed[], depth: number): string {
  return [...level]
    .sort((a, b) => a.seconds - b.seconds)
    .map(({ name, seconds, what }) => {
      const when = seconds === Infinity ? "" : localTime(seconds);
      const line = `${`${" ".repeat(depth)}\`-> ${name}`.padEnd(32)}${when.padEnd(24)}${what}\n`;
      const children = all.filter(({ parent }) => parent === name);
      return line + tree(children, all, depth + 1);
    })
    .join("");
}

export const listsnapshot: Verb = {
  grammar: guestGrammar("listsnapshot"),
  async run({ vmid }) {
    const { snapshots, values } = readConf(vmid);
    const all: Listed[] = [
      ...[...snapshots].map(([name, section]) => ({
        name,
        parent: section.values.get("parent"),
        seconds: Number(section.values.get("snaptime") ?? 0),
        what: section.description?.trim() ?? "no-description",
      })),
      { name: "current", parent: values.get("parent"), seconds: Infinity, what: "You are here!" },
    ];
    const names = new Set(all.map(({ name }) => name));
    const roots = all.filter(({ parent = "" }) => !names.has(parent));
    process.stdout.write(tree(roots, all, 0));
    return 0;
  },
};

function localTime(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString("sv-SE");
}
