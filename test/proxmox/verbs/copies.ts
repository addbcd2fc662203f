// clone, template, migrate, move-volume.
import { constants, copyFileSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { claimConf, readConf, requireFree, requireQuorum, requireUnlocked, writeConf } from "../cluster.ts";
import { type Conf, emptySection } from "../conf.ts";
import { Failure, ParameterFailure } from "../failure.ts";
import * as formats from "../formats.ts";
import { reach } from "../knobs.ts";
import { withGuestLock } from "../locks.ts";
import { isRunning } from "../lxc.ts";
import { completeNet, interfaces } from "../networks.ts";
import { node, pve } from "../paths.ts";
import { printProperties } from "../properties.ts";
import { parseVolid, renameVolume, volumePath } from "../storage.ts";
import { boolean, type Call, guestGrammar, text, type Verb } from "../verb.ts";
import { isOwned, mountPoints, printMountPoint } from "../volumes.ts";

export const clone: Verb = {
  grammar: guestGrammar("clone", {
    positionals: { newid: formats.vmid },
    options: {
      ...{ full: boolean, hostname: formats.hostname, description: text, snapname: text, storage: text },
      ...{ pool: text, target: text },
    },
  }),
  async before({ vmid, positionals, options }) {
    const conf = readConf(vmid);
    requireUnlocked(conf);
    requireQuorum();
    requireFree(positionals.newid ?? "");
    if (isRunning(vmid))
      throw new Failure("Full clone of a running container is only possible from a snapshot", {
        exitCode: 2,
      });
    const [root] = mountPoints(conf);
    if (options.get("full") === "0")
      throw new Failure(`Linked clone feature for '${root?.volume}' is not available`, { exitCode: 2 });
    await claimConf(positionals.newid ?? "");
  },
  task: {
    type: "vzclone",
    async run(call) {
      await withGuestLock(call.vmid, async () => {
        const conf = readConf(call.vmid);
        conf.values.set("lock", "disk");
        await writeConf(call.vmid, conf);
        const copy = copyOf(readConf(call.vmid), call);
        conf.values.delete("lock");
        await writeConf(call.vmid, conf);
        await writeConf(call.positionals.newid ?? "", copy);
      });
    },
  },
};

/** The hostname is kept unless given; MACs are new. */
function copyOf(conf: Conf, { vmid, positionals, options }: Call): Conf {
  const newId = positionals.newid ?? "";
  const values = new Map(conf.values);
  for (const key of ["lock", "template", "parent"]) values.delete(key);
  for (const { number, properties } of interfaces(conf)) {
    const { hwaddr: _, ...rest } = properties;
    values.set(`net${number}`, completeNet(`net${number}`, printProperties(formats.net, rest)));
  }
  for (const point of mountPoints(conf)) {
    if (!isOwned(point.volume, vmid)) continue;
    const volume = copyVolume(point.key, point.volume, vmid, newId);
    values.set(point.key, printMountPoint({ ...point, properties: { ...point.properties, volume } }));
  }
  const hostname = options.get("hostname");
  if (hostname !== undefined) values.set("hostname", hostname);
  return {
    ...conf,
    values,
    description: options.get("description") ?? conf.description,
    pending: emptySection(),
    snapshots: new Map(),
  };
}

function copyVolume(key: string, volume: string, from: string, to: string): string {
  const target = volume.replaceAll(from, to).replace("/base-", "/vm-");
  process.stdout.write(`create full clone of mountpoint ${key} (${volume})\n`);
  const path = volumePath(target);
  mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  copyFileSync(volumePath(volume), path, constants.COPYFILE_FICLONE);
  return target;
}

export const template: Verb = {
  grammar: guestGrammar("template"),
  async before({ vmid }) {
    const conf = readConf(vmid);
    requireUnlocked(conf);
    if (conf.values.get("template") === "1")
      throw new Failure("you can't convert a CT to template if the CT is a template");
    if (isRunning(vmid)) throw new Failure(`you can't convert a CT to template if the CT is running`);
  },
  task: {
    type: "vztemplate",
    async run({ vmid }) {
      await withGuestLock(vmid, async () => {
        const conf = readConf(vmid);
        const foreign = mountPoints(conf).find(({ volume }) => !isOwned(volume, vmid));
        // On stderr, and yet it ends well.
        if (foreign !== undefined) {
          process.stderr.write(`Template feature is not available for '${foreign.volume}'\n`);
          return;
        }
        for (const point of mountPoints(conf)) {
          const volume = point.volume.replace("/vm-", "/base-");
          renameSync(volumePath(point.volume), volumePath(volume));
          conf.values.set(
            point.key,
            printMountPoint({ ...point, properties: { ...point.properties, volume } }),
          );
        }
        conf.values.set("template", "1");
        await writeConf(vmid, conf);
      });
    },
  },
};

export const migrate: Verb = {
  grammar: guestGrammar("migrate", {
    positionals: { target: text },
    options: {
      ...{ online: boolean, restart: boolean, timeout: text, "target-storage": text },
      bwlimit: text,
    },
  }),
  async run({ vmid, positionals, options }) {
    const { target = "" } = positionals;
    if (target === node) throw new ParameterFailure({ target: "target is local node." });
    if (!existsSync(`${pve}/nodes/${target}`))
      throw new Failure(`no such cluster node '${target}'`, { exitCode: 2 });
    requireUnlocked(readConf(vmid));
    if (isRunning(vmid) && options.get("online") === "1")
      throw new Failure("lxc live migration is currently not implemented");
    if (isRunning(vmid) && options.get("restart") !== "1")
      throw new Failure("can't migrate running container without --online or --restart");
    throw new Failure(`can't connect to node '${target}'`);
  },
};

/** A volume goes to another container (pve-container, `PVE::API2::LXC`, `move_volume`); not to another storage. */
export const moveVolume: Verb = {
  grammar: guestGrammar("move-volume", {
    positionals: { volume: text, storage: text, "target-vmid": text, "target-volume": text },
    optional: ["storage", "target-vmid", "target-volume"],
    options: { "target-vmid": text, "target-volume": text, digest: text, delete: boolean },
  }),
  async before(call) {
    const conf = readConf(call.vmid);
    requireUnlocked(conf);
    requireQuorum();
    const { key, target } = movement(call);
    if (!conf.values.has(key))
      throw new Failure(`volume '${key}' for container '${call.vmid}' does not exist`);
    if (target === undefined)
      throw new Failure(`storage '${parseVolid(volumeOf(conf, key)).storage}' cannot move volumes here`);
    requireMovable(call);
  },
  task: {
    type: "move_volume",
    async run(call, { signal }) {
      const { vmid } = call;
      const { key, target = "", targetKey } = movement(call);
      await withGuestLock(vmid, () =>
        withGuestLock(target, async () => {
          const { source, destination } = requireMovable(call);
          process.stdout.write(`moving volume '${key}' from container '${vmid}' to '${target}'\n`);
          const value = source.values.get(key) ?? "";
          const volume = renameVolume(volumeOf(source, key), target);
          await reach("move.renamed", { vmid, signal });
          source.values.delete(key);
          process.stdout.write(`removing volume '${key}' from container '${vmid}' config\n`);
          await writeConf(vmid, source);
          const rest = value.split(",").slice(1);
          destination.values.set(
            targetKey,
            targetKey.startsWith("unused") ? volume : [volume, ...rest].join(),
          );
          await writeConf(target, destination);
          process.stdout.write(`target container '${target}' updated with '${targetKey}'\n`);
        }),
      );
    },
  },
};

function movement({ positionals, options }: Call): {
  key: string;
  target: string | undefined;
  targetKey: string;
} {
  const word = (name: string) => options.get(name) ?? positionals[name];
  const { volume: key = "" } = positionals;
  return { key, target: word("target-vmid"), targetKey: word("target-volume") ?? key };
}

function volumeOf({ values }: Conf, key: string): string {
  return values.get(key)?.split(",")[0] ?? "";
}

function requireMovable(call: Call): { source: Conf; destination: Conf } {
  const { vmid } = call;
  const { key, target = "", targetKey } = movement(call);
  if (key === "rootfs" || targetKey === "rootfs") throw new Failure("Cannot move to/from 'rootfs'");
  if (key.startsWith("unused") && !targetKey.startsWith("unused"))
    throw new Failure("Moving an unused volume to a used one is not possible");
  const source = readConf(vmid);
  const destination = readConf(target);
  for (const conf of [source, destination]) requireUnlocked(conf);
  if (destination.values.has(targetKey))
    throw new Failure(`Target volume key '${targetKey}' is already in use for container '${target}'`);
  const volume = volumeOf(source, key);
  if ([...source.snapshots.values()].some((one) => mountPoints(one).some((point) => point.volume === volume)))
    throw new Failure("Cannot move volume used by a snapshot to another container");
  if (volume.startsWith("/"))
    throw new Failure("Cannot move a bindmount or device mount to another container");
  if (isRunning(vmid) && !key.startsWith("unused"))
    throw new Failure("Cannot move in-use volume while the source CT is running - detach or shutdown first");
  if (destination.values.get("protection") === "1")
    throw new Failure(`cannot assign a volume to target CT ${target} - protection mode enabled`);
  return { source, destination };
}
