import { access, cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { execa } from "execa";
import { imageConfig } from "../../agent/backends/oci/prepare.ts";
import { ContainerSpec } from "../../shared/spec.ts";

/** Why no real container can be run here; undefined when one can. */
export async function whyNoContainers(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "not root";
  for (const program of ["/usr/bin/crun", "/bin/busybox"]) {
    try {
      await access(program);
    } catch {
      return `${program} is not installed`;
    }
  }
  return undefined;
}

/** A spec with what every one has. */
export function specOf(spec: Record<string, unknown>): ContainerSpec {
  const source = { kind: "image", digest: `sha256:${"0".repeat(64)}` };
  return ContainerSpec.parse({ id: "test", runtime: "crun", source, ...spec });
}

/** A bundle with a busybox image, in which a container made from a spec is really run, by Debian's crun. */
export async function openBundle() {
  const bundle = await mkdtemp(join(tmpdir(), "nexcage-bundle-"));
  const rootfs = join(bundle, "rootfs");
  for (const folder of ["bin", "etc", "dev", "proc", "sys"])
    await mkdir(join(rootfs, folder), { recursive: true });
  await cp("/bin/busybox", join(rootfs, "bin/busybox"));
  for (const name of [
    "sh",
    "cat",
    "id",
    "mount",
    "unshare",
    "stat",
    "touch",
    "pwd",
    "ls",
    "grep",
    "wc",
    "readlink",
  ])
    await symlink("busybox", join(rootfs, "bin", name));
  await writeFile(
    join(rootfs, "etc/passwd"),
    "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n",
  );
  await writeFile(join(rootfs, "etc/group"), "root:x:0:\nwww:x:1001:\nmedia:x:44:web\n");
  return {
    bundle,
    rootfs,
    /** Runs the script in a container of this spec; its stdout. */
    async run(script: string, spec: Record<string, unknown> = {}): Promise<string> {
      const config = await imageConfig(specOf({ command: ["/bin/sh", "-c", script], ...spec }), {
        rootfsPath: rootfs,
        imagePath: rootfs,
        cgroupsPath: `/${basename(bundle)}`,
      });
      return await this.runConfig(config);
    },
    async runConfig(config: unknown): Promise<string> {
      await writeFile(join(bundle, "config.json"), JSON.stringify(config));
      // libcrun refuses hybrid cgroups: this mount namespace sees v1 alone.
      const inView =
        'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root "$0/state" run --bundle "$0" "$1"';
      const { stdout } = await execa("unshare", ["--mount", "sh", "-c", inView, bundle, basename(bundle)], {
        timeout: 30_000,
      });
      return stdout;
    },
    [Symbol.asyncDispose]: () => rm(bundle, { recursive: true, force: true }),
  };
}
