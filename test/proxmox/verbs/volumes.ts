// Verbs about volumes: resize, mount, unmount, fstrim, fsck, rescan.
import { statSync, truncateSync } from "node:fs";
import { findConf, listGuests, readConf, requireUnlocked, writeConf } from "../cluster.ts";
import type { Conf } from "../conf.ts";
import { Failure, messageOf } from "../failure.ts";
import { reach } from "../knobs.ts";
import { withGuestLock } from "../locks.ts";
import { initPid, isRunning } from "../lxc.ts";
import { node, rootfsDir } from "../paths.ts";
import { run, runAnyway } from "../run.ts";
import type { Schema } from "../schema.ts";
import { listStorages, listVolumes, parseSize, printSize, volumePath } from "../storage.ts";
import { boolean, guestGrammar, text, type Verb } from "../verb.ts";
import { type MountPoint, mountPoints, mountVolumes, printMountPoint, unmountVolumes } from "../volumes.ts";

const size: Schema = { type: "string", pattern: /^\+?\d+(\.\d+)?[KMGT]?$/ };

export const resize: Verb = {
  grammar: guestGrammar("resize", { positionals: { disk: text, size }, options: { digest: text } }),
  async before({ vmid, positionals }) {
    const conf = readConf(vmid);
    requireUnlocked(conf);
    wantedSize(requireDisk(conf, positionals.disk ?? ""), positionals.size ?? "");
  },
  task: {
    type: "resize",
    async run({ vmid, positionals }) {
      await withGuestLock(vmid, async () => {
        const conf = readConf(vmid);
        const point = requireDisk(conf, positionals.disk ?? "");
        const bytes = wantedSize(point, positionals.size ?? "");
        truncateSync(volumePath(point.volume), bytes);
        process.stdout.write("Image resized.\n");
        point.properties.size = printSize(bytes);
        conf.values.set(point.key, printMountPoint(point));
        await writeConf(vmid, conf);
        // What fails from here on is a line on stdout, at exit 0.
        await growFileSystem(vmid, point).catch((error: unknown) => process.stdout.write(messageOf(error)));
        process.stdout.write("\n");
      });
    },
  },
};

function requireDisk(conf: Conf, key: string): MountPoint {
  const point = mountPoints(conf).find((candidate) => candidate.key === key);
  if (point === undefined)
    throw new Failure("format error\nvolume: property is missing and it is not optional");
  return point;
}

function wantedSize({ volume }: MountPoint, wanted: string): number {
  const now = statSync(volumePath(volume)).size;
  const bytes = wanted.startsWith("+") ? now + parseSize(wanted.slice(1)) : parseSize(wanted);
  if (bytes < now) throw new Failure("unable to shrink disk size");
  if (bytes === now) throw new Failure("disk is already at specified size");
  return bytes;
}

async function growFileSystem(vmid: string, { volume }: MountPoint): Promise<void> {
  const image = volumePath(volume);
  if (!isRunning(vmid)) {
    await runAnyway("e2fsck", ["-f", "-y", image], { deaf: true });
    await run("resize2fs", [image], { deaf: true });
    return;
  }
  const device = (await run("losetup", ["--associated", image], { output: "capture" })).split(":")[0] ?? "";
  await run("losetup", ["--set-capacity", device], { deaf: true });
  // It must be mounted where resize2fs can see it (pve-container, `PVE::API2::LXC`, `resize_vm`).
  const script = 'mount "$0" /tmp && resize2fs "$0"';
  await run("unshare", ["--mount", "sh", "-c", script, device], { deaf: true });
}

export const mount: Verb = {
  grammar: guestGrammar("mount"),
  async run({ vmid }) {
    readConf(vmid);
    await withGuestLock(vmid, async () => {
      const conf = readConf(vmid);
      requireUnlocked(conf);
      if (isRunning(vmid)) throw new Failure(`CT ${vmid} already running`);
      conf.values.set("lock", "mounted");
      await writeConf(vmid, conf);
      await mountVolumes(vmid, conf);
      await reach("mount.mounted", { vmid, signal: new AbortController().signal });
    });
    process.stdout.write(`mounted CT ${vmid} in '${rootfsDir(vmid)}'\n`);
    return 0;
  },
};

export const unmount: Verb = {
  grammar: guestGrammar("unmount"),
  async run({ vmid }) {
    readConf(vmid);
    await withGuestLock(vmid, async () => {
      const conf = readConf(vmid);
      await unmountVolumes(vmid);
      conf.values.delete("lock");
      await writeConf(vmid, conf);
    });
    return 0;
  },
};

export const fstrim: Verb = {
  grammar: guestGrammar("fstrim", { options: { "ignore-mountpoints": boolean } }),
  async run({ vmid }) {
    readConf(vmid);
    await locked(vmid, "fstrim", async (conf) => {
      const pid = await initPid(vmid);
      if (pid === undefined) await mountVolumes(vmid, conf);
      const root = pid === undefined ? rootfsDir(vmid) : `/proc/${pid}/root`;
      const output = await run("fstrim", ["-v", `${root}/`], { output: "capture" });
      process.stdout.write(output.replace(`${root}/`, `${rootfsDir(vmid)}/`));
      if (pid === undefined) await unmountVolumes(vmid);
    });
    return 0;
  },
};

/** Works under a word in the conf, which is taken away again also after an error. */
async function locked(vmid: string, word: string, work: (conf: Conf) => Promise<void>): Promise<void> {
  const change = (edit: (conf: Conf) => void) =>
    withGuestLock(vmid, async () => {
      const conf = readConf(vmid);
      edit(conf);
      await writeConf(vmid, conf);
    });
  await change((conf) => {
    requireUnlocked(conf);
    conf.values.set("lock", word);
  });
  try {
    await work(readConf(vmid));
  } finally {
    await change((conf) => conf.values.delete("lock"));
  }
}

export const fsck: Verb = {
  grammar: guestGrammar("fsck", { options: { force: boolean, device: text } }),
  async run({ vmid }) {
    const conf = readConf(vmid);
    if (isRunning(vmid)) throw new Failure("cannot run fsck when container is running");
    for (const { volume } of mountPoints(conf))
      if (volume.endsWith(".raw")) await run("fsck", ["-a", "-l", volumePath(volume)]);
    return 0;
  },
};

export const rescan: Verb = {
  grammar: {
    positionals: {},
    option: (name) => ({ vmid: text, dryrun: boolean })[name],
    usage: "pct rescan [OPTIONS]",
  },
  async run({ options }) {
    process.stdout.write("rescan volumes...\n");
    const own = [...listGuests()].filter(([, guest]) => guest.node === node && guest.type === "lxc");
    for (const [vmid] of own)
      if ((options.get("vmid") ?? vmid) === vmid)
        await withGuestLock(vmid, () => adopt(vmid, options.get("dryrun") === "1"));
    return 0;
  },
};

/** Volumes of a guest that its conf does not name become `unusedN`. */
async function adopt(vmid: string, dryRun: boolean): Promise<void> {
  const conf = findConf(vmid);
  if (conf === undefined) return;
  const volumes = listStorages()
    .flatMap(listVolumes)
    .filter((volume) => volume.vmid === vmid);
  const named = [...conf.values.values()].map((value) => value.split(",")[0]);
  const orphans = volumes.filter(({ volid }) => !named.includes(volid));
  for (const { volid } of orphans) {
    let number = 0;
    while (conf.values.has(`unused${number}`)) number++;
    conf.values.set(`unused${number}`, volid);
    process.stdout.write(`CT ${vmid} add unreferenced volume '${volid}' as 'unused${number}' to config\n`);
  }
  if (orphans.length > 0 && !dryRun) await writeConf(vmid, conf);
}
