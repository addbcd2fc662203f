// Templates: unpacked, and looked at for architecture and distribution (the recorded facts, "create").
import { existsSync, lstatSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { Failure, Interrupted } from "./failure.ts";
import { type Image, isOciArchive, unpackOci } from "./oci.ts";
import { quote, runAnyway } from "./run.ts";
import { parseVolid, requireStorage, volumePath } from "./storage.ts";
import { idOffset } from "./volumes.ts";

/**
 * Where the archive should be; whether it is there is seen only when it is unpacked.
 * @throws {Failure} `unable to use volume … - content type needs to be 'vztmpl'`
 */
export function templatePath(template: string): string {
  if (template.startsWith("/")) return template;
  const { storage, content } = parseVolid(template);
  requireStorage(storage);
  if (content !== "vztmpl")
    throw new Failure(`unable to use volume ${template} - content type needs to be 'vztmpl'`);
  return volumePath(template);
}

export type UnpackOptions = { template: string; root: string; unprivileged: boolean; signal: AbortSignal };

/** Unpacks as the container's root would, in its user namespace; of an OCI archive what it says. @throws {Failure} */
export async function unpackTemplate({
  template,
  root,
  unprivileged,
  signal,
}: UnpackOptions): Promise<Image | undefined> {
  const archive = templatePath(template);
  if (!existsSync(archive))
    throw new Failure(
      template.startsWith("/") ? `can't find file '${archive}'` : `volume '${template}' does not exist`,
    );
  const isOci = isOciArchive(archive);
  if (!isOci) process.stdout.write(`extracting archive '${archive}'\n`);
  const compression = /\.zst$/.test(archive)
    ? ["--zstd"]
    : /\.gz$/.test(archive)
      ? ["-z"]
      : /\.xz$/.test(archive)
        ? ["-J"]
        : [];
  const tarWords = [
    ...[
      "tar",
      "xpf",
      "-",
      ...compression,
      "--totals",
      "--one-file-system",
      "-p",
      "--sparse",
      "--numeric-owner",
    ],
    ...["--acls", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"],
    ...["--warning=no-file-ignored", "--warning=no-xattr-write", "-C", root, "--exclude=./dev/*"],
  ];
  const map = ["-m", `u:0:${idOffset}:65536`, "-m", `g:0:${idOffset}:65536`, "--"];
  const unpack = unprivileged ? ["lxc-usernsexec", ...map, ...tarWords] : tarWords;
  if (isOci) {
    const tar = unpack.filter((word) => word !== "--totals");
    return await unpackOci(archive, { root, tar, signal });
  }
  const [program = "tar", ...args] = unpack;
  const { code } = await runAnyway(program, args, { stdin: openSync(archive, "r"), signal });
  if (signal.aborted) throw new Interrupted(`command '${quote([program, ...args])}'`);
  if (code !== 0) throw new Failure(`command '${quote([program, ...args])}' failed: exit code ${code}`);
  return undefined;
}

/** From the ELF header of /bin/sh. */
export function detectArchitecture(root: string): string {
  const header = readFileSync(resolveInside(root, "bin/sh")).subarray(0, 20);
  const is64 = header[4] === 2;
  const machine = header.readUInt16LE(18);
  if (machine === 62) return "amd64";
  if (machine === 3) return "i386";
  if (machine === 183) return "arm64";
  if (machine === 40) return "armhf";
  if (machine === 243) return is64 ? "riscv64" : "riscv32";
  throw new Failure("unsupported machine type");
}

function resolveInside(root: string, path: string): string {
  const parts = path.split("/");
  let folder = root;
  for (let steps = 0; parts.length > 0 && steps < 40; steps++) {
    const name = parts.shift() ?? "";
    const here = `${folder}/${name}`;
    if (!lstatSync(here, { throwIfNoEntry: false })?.isSymbolicLink()) folder = here;
    else {
      const target = readlinkSync(here);
      if (target.startsWith("/")) folder = root;
      parts.unshift(...target.split("/").filter(Boolean));
    }
  }
  return folder;
}

const known = [
  "debian",
  "devuan",
  "ubuntu",
  "centos",
  "fedora",
  "opensuse",
  "arch",
  "alpine",
  "gentoo",
  "nixos",
];
const aliases: Readonly<Record<string, string>> = {
  arch: "archlinux",
  rocky: "centos",
  almalinux: "centos",
  rhel: "centos",
  sles: "opensuse",
};

/** @throws {Failure} `unable to detect OS distribution` */
export function detectDistribution(root: string): string {
  const file = ["etc/os-release", "usr/lib/os-release"]
    .map((path) => resolveInside(root, path))
    .find(existsSync);
  if (file === undefined) return "unmanaged";
  const [, id = ""] = /^ID="?([^"\n]*)"?$/m.exec(readFileSync(file, "utf8")) ?? [];
  if (id.startsWith("opensuse")) return "opensuse";
  const alias = aliases[id];
  if (alias !== undefined) return alias;
  if (known.includes(id)) return id;
  throw new Failure("unable to detect OS distribution");
}
