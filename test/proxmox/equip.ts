// What makes a test host a Proxmox VE node: programs, /etc/pve, storages, bridges, a template.
import { rmSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { execa } from "execa";
import { makeBusyboxArchive } from "./busybox-template.ts";

/** Names under which the stand-in is installed; the last is for LXC's hooks. */
const programs = ["pct", "pvesh", "pvesm", "pveam", "pveversion", "ha-manager", "pct-hook"];

/** The template that each storage `local` has: busybox as init, which obeys SIGPWR. */
export const busyboxTemplate = "local:vztmpl/busybox-1_amd64.tar.zst";

const storages = `dir: local
	path /var/lib/vz
	content vztmpl,iso,backup,rootdir,images,snippets

dir: local2
	path /var/lib/vz2
	content rootdir,images
`;

/** Private folders of a node, below the host's own: they outlive a reboot, and go with the host. */
const folders = {
  pve: "/etc/pve",
  vz: "/var/lib/vz",
  vz2: "/var/lib/vz2",
  lxc: "/var/lib/lxc",
  "pve-cluster": "/var/lib/pve-cluster",
  "pve-manager": "/var/lib/pve-manager",
};

const bridges = [
  { name: "vmbr0", address: "10.77.0.1/24" },
  { name: "vmbr50", address: "10.77.50.1/24" },
];

function bridgeLines({ name, address }: (typeof bridges)[number]): string[] {
  return [
    `ip link add ${name} type bridge`,
    `ip address add ${address} dev ${name}`,
    `ip link set ${name} up`,
  ];
}

/** Puts a node's files below `dir`; gives back what the host mounts, and does when it is switched on. */
export async function equipProxmox({ dir, name }: { dir: string; name: string }) {
  for (const folder of [
    ...Object.keys(folders),
    "sbin",
    "sbin-work",
    "log/pve/tasks",
    "pve-manager/apl-info",
    "pve-manager/mirror",
  ])
    await mkdir(join(dir, folder), { recursive: true });
  await writePrograms(dir);
  await writeClusterFiles(join(dir, "pve"), name);
  for (const folder of ["template/cache", "template/iso", "dump", "snippets", "images"])
    await mkdir(join(dir, "vz", folder), { recursive: true });
  await copyFile((await madeOnce()).archive, join(dir, "vz/template/cache/busybox-1_amd64.tar.zst"));
  for (const file of ["subuid", "subgid"]) await writeFile(join(dir, "etc", file), "root:100000:65536\n");
  return {
    mounts: [
      ...Object.entries(folders).map(
        ([folder, target]) => `${join(dir, folder)} ${target} none bind,X-mount.mkdir`,
      ),
      `host-sbin /usr/sbin overlay lowerdir=/usr/sbin,upperdir=${dir}/sbin,workdir=${dir}/sbin-work`,
    ],
    boot: [...bridges.flatMap(bridgeLines), "pct-hook startall </dev/null >/dev/null 2>&1 &"],
  };
}

/** One file for all of them, bundled: it starts in half the time that stripping thirty modules takes. */
async function writePrograms(dir: string): Promise<void> {
  const { main, scripts } = await madeOnce();
  const folder = join(dir, "proxmox");
  await mkdir(folder);
  for (const file of [main, ...scripts]) await copyFile(file, join(folder, basename(file)));
  for (const program of programs) {
    const words = [
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      join(folder, "main.mjs"),
      program,
    ];
    const file = join(dir, "sbin", program);
    await writeFile(file, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`);
    await chmod(file, 0o755);
  }
}

async function writeClusterFiles(folder: string, name: string): Promise<void> {
  for (const kind of ["lxc", "qemu-server", "priv"])
    await mkdir(join(folder, "nodes", name, kind), { recursive: true });
  for (const dir of ["priv/lock", "ha", "firewall"]) await mkdir(join(folder, dir), { recursive: true });
  await symlink(`nodes/${name}`, join(folder, "local"));
  for (const kind of ["lxc", "qemu-server"]) await symlink(`nodes/${name}/${kind}`, join(folder, kind));
  const files = {
    "storage.cfg": storages,
    "user.cfg": "user:root@pam:1:0::::::\n\npool:nexcage::::\n",
    "datacenter.cfg": "keyboard: en-us\n",
    ".members": `{\n"nodename": "${name}",\n"version": 0\n}\n`,
    ".vmlist": '{\n"version": 0,\n"ids": {\n}\n\n}\n',
    ".version": `${JSON.stringify({ clinfo: 0, vmlist: 0 })}\n`,
    ".clusterlog": '{"data":[]}\n',
  };
  for (const [file, text] of Object.entries(files))
    await writeFile(join(folder, file), text, { mode: 0o640 });
  await execa("chown", ["-R", "root:www-data", folder]);
  // New files get the group too.
  await execa("find", [folder, "-type", "d", "-exec", "chmod", "2755", "{}", "+"]);
}

type Made = { main: string; archive: string; scripts: string[] };
let made: Promise<Made> | undefined;

/** What is the same for all nodes, made once in a process. */
async function madeOnce(): Promise<Made> {
  made ??= make();
  return await made;
}

async function make(): Promise<Made> {
  const work = await mkdtemp(join(tmpdir(), "proxmox-"));
  process.once("exit", () => rmSync(work, { recursive: true, force: true }));
  const main = join(work, "main.mjs");
  const { build } = await import("esbuild");
  await build({
    ...{ entryPoints: [join(import.meta.dirname, "main.ts")], outfile: main },
    ...{ bundle: true, platform: "node", format: "esm", target: "node24", logLevel: "warning" },
  });
  const scripts = ["unit.sh", "post-stop.sh", "mount-inside.py"].map((name) =>
    join(import.meta.dirname, name),
  );
  return { main, scripts, archive: await makeBusyboxArchive(work) };
}
