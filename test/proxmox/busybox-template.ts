import { copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

const folders = [
  ...["bin", "sbin", "dev", "etc/network", "proc", "sys", "tmp", "root", "run", "srv", "var/run", "var/tmp"],
  "etc/init.d",
];

// Debian's busybox has an ifup that does not know `address ADDRESS/LENGTH`, as pct writes it.
const network = `#!/bin/sh
ip link set lo up
while read -r word value _; do
  case $word in
  iface) name=$value && [ "$name" = lo ] || ip link set "$name" up ;;
  address) ip address add "$value" dev "$name" ;;
  gateway) ip route add default via "$value" ;;
  esac
done </etc/network/interfaces
`;

const files = {
  "etc/os-release": 'ID=alpine\nNAME="Alpine Linux"\nVERSION_ID=3.20\n',
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/tmp:/bin/sh\n",
  "etc/group": "root:x:0:\nweb:x:1000:\n",
  "etc/inittab": "::sysinit:/bin/sh /etc/init.d/network\n",
  "etc/init.d/network": network,
};

/** A template of 1 MB in `work`: Debian's static busybox as init and as everything else; gives back its path. */
export async function makeBusyboxArchive(work: string): Promise<string> {
  const root = join(work, "root");
  for (const folder of folders) await mkdir(join(root, folder), { recursive: true });
  await copyFile("/bin/busybox", join(root, "bin/busybox"));
  const { stdout } = await execa("/bin/busybox", ["--list"]);
  const applets = stdout.split("\n").filter((applet) => applet !== "busybox");
  for (const applet of applets) await symlink("busybox", join(root, "bin", applet));
  await symlink("../bin/busybox", join(root, "sbin/init"));
  for (const [file, text] of Object.entries(files)) await writeFile(join(root, file), text);
  const archive = join(work, "busybox-1_amd64.tar.zst");
  await execa("tar", [
    "--zstd",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "-cf",
    archive,
    "-C",
    root,
    ".",
  ]);
  await rm(root, { recursive: true });
  return archive;
}
