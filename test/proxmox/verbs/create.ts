import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { claimConf, findConf, removeConf, requireFree, requireQuorum, writeConf } from "../cluster.ts";
import { type Conf, emptyConf, normalizeTags } from "../conf.ts";
import { Failure, Interrupted, messageOf } from "../failure.ts";
import { words } from "../formats.ts";
import { writeGuestFiles } from "../guest-files.ts";
import { reach, readKnobs } from "../knobs.ts";
import { guestLockFile, withFileLock } from "../locks.ts";
import { startContainer } from "../lxc.ts";
import { completeNet } from "../networks.ts";
import { takeImage } from "../oci.ts";
import { createOptions, settableSchema } from "../options.ts";
import { pve, rootfsDir } from "../paths.ts";
import { freeVolume, volumePath } from "../storage.ts";
import { detectArchitecture, detectDistribution, templatePath, unpackTemplate } from "../template.ts";
import { type Call, guestGrammar, text, type Verb } from "../verb.ts";
import {
  type MountPoint,
  makeVolume,
  mountPoints,
  mountVolumes,
  printMountPoint,
  requireStorages,
  rootId,
  unmountVolumes,
} from "../volumes.ts";

export const create: Verb = {
  grammar: guestGrammar("create", {
    positionals: { ostemplate: text },
    options: createOptions,
    moreOptions: (name) => settableSchema(name, { pveVersion: readKnobs().pveVersion ?? 9 }),
  }),
  async before(call) {
    const { vmid } = call;
    requireFree(vmid);
    requirePool(call.options.get("pool"));
    requireQuorum();
    readKeys(call.options.get("ssh-public-keys"));
    const conf = confOf(call);
    requireStorages(mountPoints(conf), defaultStorage(call));
    templatePath(call.positionals.ostemplate ?? "");
    await inCreation(vmid, () =>
      withFileLock(guestLockFile(vmid), { timeoutS: 5 }, async () => {
        if (findConf(vmid) !== undefined) requireFree(vmid);
        await claimConf(vmid);
      }),
    );
  },
  task: {
    type: "vzcreate",
    async run(call, { signal }) {
      const { vmid, options } = call;
      await withFileLock(guestLockFile(vmid), { timeoutS: 10 }, async () => {
        await inCreation(vmid, () => make(call, signal));
        if (options.get("start") !== "1") return;
        const conf = findConf(vmid);
        if (conf !== undefined) await startContainer(vmid, conf, { signal });
      });
    },
  },
};

async function inCreation(vmid: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new Failure(`unable to create CT ${vmid} - ${messageOf(error)}`);
  }
}

function defaultStorage({ options }: Call): string {
  return options.get("storage") ?? "local";
}

/** The conf that the options ask for, before volumes have names. */
function confOf({ vmid, options }: Call): Conf {
  const conf = emptyConf();
  const { values } = conf;
  values.set("hostname", `CT${vmid}`);
  values.set("memory", "512");
  values.set("swap", "512");
  values.set("unprivileged", (readKnobs().pveVersion ?? 9) === 9 ? "1" : "0");
  for (const [key, value] of options) if (!(key in createOptions)) setOption(conf, key, value);
  if (!values.has("rootfs")) {
    if ([...values.keys()].some((key) => /^mp\d+$/.test(key)))
      throw new Failure("mount points configured, but 'rootfs' not set - aborting");
    values.set("rootfs", `${options.get("storage") ?? "local"}:4`);
  }
  if (values.get("unprivileged") === "0") values.delete("unprivileged");
  return conf;
}

/** As set and create write one option: tags sorted, nets completed, cpuunits clamped. */
export function setOption(conf: Conf, key: string, value: string): void {
  if (key === "description") conf.description = localeText(value);
  else if (key === "tags") conf.values.set(key, normalizeTags(value));
  else if (key === "cpuunits") conf.values.set(key, clampUnits(value));
  else if (/^net\d+$/.test(key)) conf.values.set(key, completeNet(key, value));
  else if (/^dev\d+$/.test(key)) conf.values.set(key, requireDevice(value));
  else if (key === "hookscript") conf.values.set(key, requireScript(value));
  else conf.values.set(key, value);
}

/** On cgroup v1, where this runs. */
function clampUnits(value: string): string {
  return existsSync("/sys/fs/cgroup/cgroup.controllers")
    ? String(Math.min(Math.max(Number(value), 1), 10_000))
    : String(Math.max(Number(value), 2));
}

/** In a locale that is not UTF-8 each byte beyond ASCII is lost, at exit 0. */
function localeText(value: string): string {
  const locale = process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || "C";
  if (/utf-?8/i.test(locale)) return value;
  return value.replaceAll(/[^\0-\x7f]/gu, (letter) => "\ufffd".repeat(Buffer.byteLength(letter)));
}

function requireDevice(value: string): string {
  const path = value.split(",")[0]?.replace(/^path=/, "") ?? "";
  if (!existsSync(path)) throw new Failure(`Device ${path} does not exist`);
  return value;
}

function requireScript(volid: string): string {
  const { mode = 0 } = statSync(volumePath(volid), { throwIfNoEntry: false }) ?? {};
  if (mode === 0) throw new Failure(`script '${volid}' does not exist`);
  if ((mode & 0o111) === 0) throw new Failure(`script '${volid}' is not executable`);
  return volid;
}

function requirePool(pool: string | undefined): void {
  if (pool === undefined) return;
  const file = `${pve}/user.cfg`;
  const known =
    existsSync(file) &&
    readFileSync(file, "utf8")
      .split("\n")
      .some((line) => line.startsWith(`pool:${pool}:`));
  if (!known)
    throw new Failure(`403 Permission check failed (pool '${pool}' does not exist)`, { exitCode: 2 });
}

function readKeys(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  if (!existsSync(path))
    throw new Failure(`can't open '${path}' - No such file or directory`, { exitCode: 2 });
  return readFileSync(path, "utf8");
}

/** Volumes, root, conf; all of it undone when something fails or TERM comes. */
async function make(call: Call, signal: AbortSignal): Promise<void> {
  const { vmid, options } = call;
  const conf = confOf(call);
  const made: string[] = [];
  const undo = async () => {
    await unmountVolumes(vmid);
    for (const volume of made) await freeVolume(volume);
    await removeConf(vmid);
  };
  try {
    await makeVolumes(conf, { vmid, made, defaultStorage: defaultStorage(call) });
    await reach("create.volume", { vmid, signal });
    if (signal.aborted) throw new Interrupted();
    await mountVolumes(vmid, conf, { ignoreReadOnly: true });
    await reach("create.unpacking", { vmid, signal });
    await fill(call, conf, signal);
    await unmountVolumes(vmid);
    await writeConf(vmid, conf);
    addToPool(vmid, options.get("pool"));
  } catch (error) {
    await undo().catch((also: unknown) => process.stderr.write(`${messageOf(also)}\n`));
    throw error;
  }
  await reach("create.written", { vmid, signal });
}

async function makeVolumes(
  conf: Conf,
  options: { vmid: string; made: string[]; defaultStorage: string },
): Promise<void> {
  for (const point of mountPoints(conf)) {
    const made: MountPoint = await makeVolume(point, { ...options, owner: rootId(conf) });
    conf.values.set(point.key, printMountPoint(made));
  }
}

/** What goes into the root: the template, then what pct writes there. */
async function fill({ vmid, positionals, options }: Call, conf: Conf, signal: AbortSignal): Promise<void> {
  const root = rootfsDir(vmid);
  const unprivileged = conf.values.get("unprivileged") === "1";
  const template = positionals.ostemplate ?? "";
  const image = await unpackTemplate({ template, root, unprivileged, signal });
  if (image !== undefined) takeImage(conf, image, root);
  if (!options.has("arch")) {
    const arch = detectArchitecture(root);
    conf.values.set("arch", arch);
    process.stdout.write(`Detected container architecture: ${arch}\n`);
  }
  if (options.get("ostype") !== "unmanaged") {
    const found = detectDistribution(root);
    const expected = options.get("ostype") ?? found;
    if (expected !== found) process.stdout.write(`got unexpected ostype (${expected} != ${found})\n`);
    conf.values.set("ostype", found);
  }
  writeGuestFiles(vmid, conf);
  const keys = readKeys(options.get("ssh-public-keys"));
  if (keys === undefined) return;
  mkdirSync(`${root}/root/.ssh`, { recursive: true, mode: 0o700 });
  writeFileSync(`${root}/root/.ssh/authorized_keys`, keys, { mode: 0o600 });
  for (const path of ["root/.ssh", "root/.ssh/authorized_keys"])
    chownSync(`${root}/${path}`, rootId(conf), rootId(conf));
}

/** `pool:NAME:COMMENT:VMIDS:STORAGES:` in user.cfg. */
function addToPool(vmid: string, pool: string | undefined): void {
  if (pool === undefined) return;
  const file = `${pve}/user.cfg`;
  const lines = readFileSync(file, "utf8").split("\n");
  const changed = lines.map((line) => {
    const [kind, name, comment, vmids = "", ...rest] = line.split(":");
    if (kind !== "pool" || name !== pool) return line;
    return [kind, name, comment, [...words(vmids), vmid].join(), ...rest].join(":");
  });
  writeFileSync(file, changed.join("\n"));
}
