import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { findHierarchies, type Hierarchy } from "./cgroups.ts";
import type { PreparedHost } from "./host.ts";
import { addressIn } from "./network.ts";
import type { Run } from "./runs.ts";

export type KeyPair = { privateFile: string; publicLine: string; fingerprint: string };

/** Makes an ed25519 key pair: `FILE` and `FILE.pub`. */
export async function makeKeyPair(privateFile: string, { comment }: { comment: string }): Promise<KeyPair> {
  const args = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", privateFile];
  await execa("ssh-keygen", args, { timeout: 30_000 });
  const publicLine = (await readFile(`${privateFile}.pub`, "utf8")).trim();
  const [, blob = ""] = publicLine.split(" ");
  const hash = await crypto.subtle.digest("SHA-256", Buffer.from(blob, "base64"));
  const fingerprint = `SHA256:${Buffer.from(hash).toString("base64").replace(/=+$/, "")}`;
  return { privateFile, publicLine, fingerprint };
}

/** What a kind of host has beside a plain one, given its folder and name. */
export type Equipment = (host: { dir: string; name: string }) => Promise<{
  /** Lines of fstab(5). */
  mounts: string[];
  /** Lines of sh, each time it is switched on. */
  boot: string[];
}>;

export type PrepareOptions = {
  name: string;
  index: number;
  names: string[];
  clientKey: KeyPair;
  equip: Equipment | undefined;
  /** A bare Debian in place of this machine's files, by its suite. */
  debian: Debian | undefined;
};

/** Those that `debian-root` unpacks. */
export type Debian = "bookworm" | "trixie";

/** Puts on disk what a host needs before its first start. */
export async function prepareHost(
  run: Run,
  { name, index, names, clientKey, equip, debian }: PrepareOptions,
): Promise<PreparedHost> {
  const dir = join(run.dir, "hosts", name);
  const root = debian === undefined ? join(dir, "root") : join(dir, "upper/root");
  const etc = debian === undefined ? join(dir, "etc") : join(dir, "upper/etc");
  for (const folder of ["lib", "opt", "log/nexcage", "home", "etc-work", "rootfs", "work"])
    await mkdir(join(dir, folder), { recursive: true });
  await mkdir(join(etc, "ssh/sshd_config.d"), { recursive: true });
  if (debian !== undefined) await writeFile(join(dir, "lower"), await debianRoot(debian));
  await mkdir(join(root, ".ssh"), { recursive: true, mode: 0o700 });
  await writeFile(join(root, ".ssh/authorized_keys"), `${clientKey.publicLine}\n`, { mode: 0o600 });

  const hostKey = await makeKeyPair(join(etc, "ssh/test_host_ed25519_key"), { comment: name });
  await writeFile(join(etc, "ssh/sshd_config.d/host-key.conf"), "HostKey /etc/ssh/test_host_ed25519_key\n");
  await writeFile(join(etc, "hostname"), `${name}\n`);
  await writeFile(join(etc, "hosts"), hostsFile(run, names));
  if (debian === undefined)
    await writeFile(join(etc, "passwd"), withRootsHome(await readFile("/etc/passwd", "utf8"), root));

  const cgroups = run.cgroups.map((cgroup) => join(cgroup, name));
  const { mounts, boot } = (await equip?.({ dir, name })) ?? { mounts: [], boot: [] };
  await writeFile(
    join(dir, "fstab"),
    [fstab(dir, await findHierarchies(), debian), ...mounts, ""].join("\n"),
  );
  await writeFile(join(dir, "boot.local"), boot.map((line) => `${line}\n`).join(""));
  return {
    ...{
      run,
      name,
      index,
      dir,
      cgroups,
      home: debian === undefined ? root : "/root",
      keyFile: clientKey.privateFile,
      publicKey: `${clientKey.publicLine}\n`,
    },
    hostKeyLine: hostKey.publicLine.split(" ").slice(0, 2).join(" "),
    hostKeyFingerprint: hostKey.fingerprint,
  };
}

/**
 * What a host mounts over the machine's files. A sysfs of its own shows its network devices, and comes
 * without cgroups. The sources have names of their own, because `mount --all` leaves out what is mounted
 * already.
 */
function fstab(dir: string, hierarchies: Hierarchy[], debian: Debian | undefined): string {
  return [
    "host-sys /sys sysfs defaults",
    ...(hierarchies.some(({ type }) => type === "cgroup")
      ? ["host-cgroups /sys/fs/cgroup tmpfs mode=755"]
      : []),
    ...hierarchies.map(
      ({ mountPoint, type, options }) => `host-cgroup ${mountPoint} ${type} ${options},X-mount.mkdir`,
    ),
    "host-run /run tmpfs mode=755,nosuid,nodev,noexec",
    `${dir}/lib /var/lib/nexcage none bind,X-mount.mkdir`,
    `${dir}/log /var/log none bind`,
    `${dir}/opt /opt none bind`,
    ...(debian === undefined
      ? [`host-etc /etc overlay lowerdir=/etc,upperdir=${dir}/etc,workdir=${dir}/etc-work`]
      : []),
  ].join("\n");
}

async function debianRoot(suite: Debian): Promise<string> {
  const script = join(import.meta.dirname, "debian-root");
  return (await execa(script, [suite], { timeout: 300_000, stderr: "inherit" })).stdout;
}

function hostsFile(run: Run, names: string[]): string {
  const lines = names.map((name, index) => `${addressIn(run.id, index + 2)} ${name}`);
  return ["127.0.0.1 localhost", ...lines, ""].join("\n");
}

/** A home elsewhere, and not something mounted over /root: the checkout may be below that. */
function withRootsHome(passwd: string, home: string): string {
  return passwd.replace(/^(root:(?:[^:]*:){4})[^:]*/m, (_, start) => `${start}${home}`);
}
