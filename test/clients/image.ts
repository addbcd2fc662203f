import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";

/** How clients call it. */
export const image = "localhost/box:latest";

/** Makes an image of busybox and little else as an OCI archive, without a registry. */
export async function makeImage(folder: string): Promise<string> {
  const rootfs = join(folder, "rootfs");
  const layout = join(folder, "layout");
  const archive = join(folder, "box.tar");
  await makeRootfs(rootfs);
  const umoci = (...args: string[]) => execa("umoci", args, { timeout: 60_000 });
  await umoci("init", "--layout", layout);
  await umoci("new", "--image", `${layout}:box`);
  await umoci("insert", "--image", `${layout}:box`, rootfs, "/");
  const config = ["--config.env", "PATH=/bin", "--config.env", "FROM=image", "--config.cmd", "/bin/sh"];
  await umoci("config", "--image", `${layout}:box`, ...config);
  await execa("skopeo", ["copy", "--quiet", `oci:${layout}:box`, `oci-archive:${archive}:${image}`], {
    timeout: 60_000,
  });
  return archive;
}

async function makeRootfs(rootfs: string): Promise<void> {
  for (const name of ["bin", "data", "dev", "etc", "home/guest", "proc", "root", "run", "sys", "tmp", "var"])
    await mkdir(join(rootfs, name), { recursive: true, mode: 0o755 });
  const busybox = join(rootfs, "bin/busybox");
  await cp("/bin/busybox", busybox);
  const { stdout } = await execa(busybox, ["--list"]);
  for (const applet of stdout.split("\n").filter((name) => name !== "busybox"))
    await symlink("busybox", join(rootfs, "bin", applet));
  const notify = ["-static", "-O2", "-o", join(rootfs, "bin/notify"), join(import.meta.dirname, "notify.c")];
  await execa("gcc", notify, { timeout: 60_000 });
  for (const [path, { mode, text }] of Object.entries(files)) {
    await mkdir(dirname(join(rootfs, path)), { recursive: true });
    await writeFile(join(rootfs, path), text, { mode });
  }
}

const files: Record<string, { mode: number; text: string }> = {
  "etc/passwd": {
    mode: 0o644,
    text: "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home/guest:/bin/sh\n",
  },
  "etc/group": { mode: 0o644, text: "root:x:0:\nguest:x:1000:\nextra:x:2000:guest\n" },
  "bin/not-executable": { mode: 0o644, text: "#!/bin/sh\nexit 0\n" },
  "bin/no-interpreter": { mode: 0o755, text: "#!/bin/not-there\n" },
  // Says which signals it gets, and ends with the first that it is told to end by.
  "bin/listen": {
    mode: 0o755,
    text: `#!/bin/sh
for signal in HUP USR1 USR2 WINCH; do trap "echo got $signal" $signal; done
for signal in INT TERM; do trap "echo got $signal; exit 3" $signal; done
echo ready
while :; do sleep 0.05; done
`,
  },
  // Ends only by SIGKILL.
  "bin/stubborn": {
    mode: 0o755,
    text: `#!/bin/sh
trap '' TERM INT HUP
echo ready
while :; do sleep 0.05; done
`,
  },
};
