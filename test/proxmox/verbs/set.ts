import { statSync } from "node:fs";
import { withUsage } from "../arguments.ts";
import { readConf, requireUnlocked, writeConf } from "../cluster.ts";
import { type Conf, emptySection } from "../conf.ts";
import { Failure, messageOf, ParameterFailure } from "../failure.ts";
import { words } from "../formats.ts";
import { hotplug, hotunplug } from "../hotplug.ts";
import { reach, readKnobs } from "../knobs.ts";
import { withGuestLock } from "../locks.ts";
import { isRunning } from "../lxc.ts";
import { parseNet, requireBridge } from "../networks.ts";
import { confSchema, settableSchema } from "../options.ts";
import { freeVolume, printSize, volumePath } from "../storage.ts";
import { type Call, guestGrammar, text, type Verb } from "../verb.ts";
import { isOwned, makeVolume, mountPoints, printMountPoint, requireStorages, rootId } from "../volumes.ts";
import { setOption } from "./create.ts";

const control = { delete: text, revert: text, digest: text };
const grammar = guestGrammar("set", {
  options: control,
  moreOptions: (name) => settableSchema(name, { pveVersion: readKnobs().pveVersion ?? 9 }),
});

/** Written at once, though the running container does not change (the recorded facts, "set: what is hot"). */
const written = /^(hostname|cores|description|onboot|startup|protection|hookscript|tags|lock|debug)$/;
/** Applied to the running container; `mpN` and `devN` only where that key is new. */
const live = /^(memory|swap|cpulimit|cpuunits|net\d+)$/;
const liveWhenNew = /^(mp|dev)\d+$/;
const deletedLive = /^(unused\d+|swap|cpulimit|cpuunits|net\d)$/;
const required = ["memory", "rootfs", "ostype"];

export const set: Verb = {
  grammar,
  async run(call) {
    const { vmid, options } = call;
    if (options.size === 0) throw new Failure("no options specified", { exitCode: 2 });
    const { given, deleted, reverted } = requests(call);
    readConf(vmid);
    await withGuestLock(vmid, async () => {
      const conf = readConf(vmid);
      const digest = options.get("digest");
      if (digest !== undefined && digest !== conf.digest)
        throw new Failure("detected modified configuration - file changed by other user? Try again.");
      requireUnlocked(conf);
      requireUnprotected(vmid, conf, [...given.keys(), ...deleted]);
      for (const key of reverted) revert(conf, key);
      stage(conf, { given, deleted });
      if (isRunning(vmid)) await applyLive(vmid, conf);
      else await applyAll(vmid, conf);
      await writeConf(vmid, conf);
    });
    return 0;
  },
};

function requests({ options }: Call) {
  const given = new Map([...options].filter(([key]) => !(key in control)));
  const deleted = words(options.get("delete") ?? "");
  const wrong: Record<string, string> = {};
  for (const key of deleted) {
    if (confSchema(key) === undefined) wrong.delete = `unknown option '${key}'`;
    else if (given.has(key)) wrong.delete = `you can't use '-${key}' and -delete ${key}' at the same time`;
  }
  if (Object.keys(wrong).length > 0) throw withUsage(grammar, new ParameterFailure(wrong));
  for (const key of deleted)
    if (required.includes(key)) throw new Failure(`unable to delete required option '${key}'`);
  for (const key of [...given.keys(), ...deleted])
    if (key === "unprivileged") throw new Failure("unable to modify read-only option: 'unprivileged'");
  return { given, deleted, reverted: words(options.get("revert") ?? "") };
}

/** pve-container, `PVE::LXC::Config`, `update_pct_config`. */
function requireUnprotected(vmid: string, { values }: Conf, keys: string[]): void {
  const drive = keys.find((key) => /^(mp\d+|unused\d+|rootfs)$/.test(key));
  if (values.get("protection") === "1" && drive !== undefined)
    throw new Failure(`can't update CT ${vmid} drive '${drive}' - protection mode enabled`);
}

/** Puts everything into pending; what can be applied then leaves it. */
function stage(conf: Conf, { given, deleted }: { given: Map<string, string>; deleted: string[] }): void {
  const removals = pendingDeletes(conf);
  for (const key of deleted) {
    const isSet = key === "description" ? conf.description !== undefined : conf.values.has(key);
    if (!isSet) process.stderr.write(`cannot delete '${key}' - not set in current configuration!\n`);
    if (isSet) removals.add(key);
    conf.pending.values.delete(key);
  }
  const staged: Conf = { ...conf, ...emptySection() };
  for (const [key, value] of given) {
    setOption(staged, key, value);
    removals.delete(key);
  }
  requireStorages(mountPoints(staged), "local");
  for (const [key, value] of staged.values) conf.pending.values.set(key, value);
  if (given.has("description")) conf.pending.description = staged.description;
  putDeletes(conf, removals);
}

function pendingDeletes({ pending }: Conf): Set<string> {
  return new Set(words(pending.values.get("delete") ?? "").map((key) => key.replace(/^!/, "")));
}

function putDeletes({ pending }: Conf, keys: Set<string>): void {
  if (keys.size === 0) pending.values.delete("delete");
  else pending.values.set("delete", [...keys].sort().join());
}

function revert(conf: Conf, key: string): void {
  conf.pending.values.delete(key);
  const removals = pendingDeletes(conf);
  removals.delete(key);
  putDeletes(conf, removals);
}

/** What a running container takes at once; the rest stays in `[pve:pending]`, without a word. */
async function applyLive(vmid: string, conf: Conf): Promise<void> {
  const removals = pendingDeletes(conf);
  for (const key of [...removals].filter((each) => written.test(each) || deletedLive.test(each))) {
    await hotunplug(vmid, key);
    await removeOption(vmid, conf, key);
    removals.delete(key);
  }
  putDeletes(conf, removals);
  takeDescription(conf);
  for (const [key, value] of [...conf.pending.values]) {
    if (key === "delete") continue;
    const isNew = liveWhenNew.test(key) && !conf.values.has(key);
    if (live.test(key) || isNew) await applyHot(vmid, conf, key, value);
    else if (!written.test(key)) {
      if (conf.values.get(key) === value) conf.pending.values.delete(key);
      continue;
    } else conf.values.set(key, value);
    conf.pending.values.delete(key);
  }
}

async function applyHot(vmid: string, conf: Conf, key: string, value: string): Promise<void> {
  try {
    if (/^mp\d+$/.test(key)) await takeMountPoint(vmid, conf, key, value);
    else conf.values.set(key, value);
    await hotplug(vmid, conf, key);
  } catch (error) {
    const reason = `unable to hotplug ${key}: ${messageOf(error)}`;
    throw withUsage(grammar, new ParameterFailure({ [key]: reason }, { exitCode: 39 }));
  }
}

/** Everything comes true, as at the end of a container and before its start. */
async function applyAll(vmid: string, conf: Conf): Promise<void> {
  for (const key of pendingDeletes(conf)) await removeOption(vmid, conf, key);
  takeDescription(conf);
  for (const [key, value] of conf.pending.values) {
    if (key === "delete") continue;
    if (/^net\d+$/.test(key)) requireBridge({ number: key.slice(3), properties: parseNet(key, value) });
    if (/^mp\d+$/.test(key) || key === "rootfs") await takeMountPoint(vmid, conf, key, value);
    else conf.values.set(key, value);
  }
  conf.pending = emptySection();
}

function takeDescription(conf: Conf): void {
  if (conf.pending.description === undefined) return;
  conf.description = conf.pending.description;
  conf.pending.description = undefined;
}

/** A new volume is made each time one is asked for; what stood there before becomes `unusedN`. */
async function takeMountPoint(vmid: string, conf: Conf, key: string, value: string): Promise<void> {
  const [point] = mountPoints({ ...emptySection(), values: new Map([[key, value]]) });
  if (point === undefined) return;
  const made = await makeVolume(point, { vmid, owner: rootId(conf), defaultStorage: "local", made: [] });
  await reach("set.volume", { vmid, signal: new AbortController().signal });
  // The size of what is there already is looked up.
  if (made === point && isOwned(point.volume, vmid))
    point.properties.size = printSize(statSync(volumePath(point.volume)).size);
  const before = conf.values.get(key);
  conf.values.set(key, printMountPoint(made));
  if (before !== undefined) keepUnused(vmid, conf, before);
}

function keepUnused(vmid: string, conf: Conf, value: string): void {
  const volume = value.split(",")[0] ?? "";
  const isUsed = mountPoints(conf).some((point) => point.volume === volume);
  if (isUsed || !isOwned(volume, vmid)) return;
  let number = 0;
  while (conf.values.has(`unused${number}`)) number++;
  conf.values.set(`unused${number}`, volume);
}

async function removeOption(vmid: string, conf: Conf, key: string): Promise<void> {
  const value = conf.values.get(key);
  conf.values.delete(key);
  if (key === "description") conf.description = undefined;
  if (value === undefined) return;
  if (/^mp\d+$/.test(key)) keepUnused(vmid, conf, value);
  if (/^unused\d+$/.test(key)) await freeVolume(value);
}

/** What was pending comes true: when the container has stopped, and before it starts. */
export async function applyPending(vmid: string): Promise<Conf> {
  const conf = readConf(vmid);
  if (conf.pending.values.size === 0 && conf.pending.description === undefined) return conf;
  await applyAll(vmid, conf);
  await writeConf(vmid, conf);
  return conf;
}
