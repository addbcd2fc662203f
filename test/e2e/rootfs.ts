import { existsSync } from "node:fs";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

const applets = [
  "sh",
  "sleep",
  "cat",
  "echo",
  "true",
  "false",
  "kill",
  "seq",
  "id",
  "env",
  "ls",
  "ps",
  "dd",
  "date",
  "head",
  "hostname",
  "stty",
  "wc",
  "yes",
  "trap",
  "mkdir",
  "rm",
  "touch",
  "grep",
  "head",
  "tr",
  "tail",
];

/**
 * A small root file system: Debian's static busybox under its usual names; without it an empty one, which
 * does for what is not run.
 */
export async function makeRootfs(folder: string): Promise<void> {
  for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp", "root"])
    await mkdir(join(folder, name), { recursive: true });
  if (existsSync("/bin/busybox")) await copyFile("/bin/busybox", join(folder, "bin/busybox"));
  for (const applet of new Set(applets)) await symlink("busybox", join(folder, "bin", applet));
  await writeFile(
    join(folder, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/tmp:/bin/sh\n",
  );
  await writeFile(join(folder, "etc/group"), "root:x:0:\nweb:x:1000:\n");
}
