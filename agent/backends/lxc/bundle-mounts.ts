import { resolve } from "node:path";
import * as z from "zod";
import { mountEntry, type RawLine } from "../../../shared/raw-lines.ts";
import type { ContainerSpec, Mount } from "../../../shared/spec.ts";
import type { BundleConfig } from "../oci-bundle.ts";

/** A bundle as its mapping looks at it. */
export type BundleFacts = {
  config: BundleConfig;
  /** Of its config.json, for messages. */
  file: string;
  /** Its folder: a relative source of a mount is below it. */
  bundle: string;
  isFolder: (path: string) => boolean;
};

const OciMount = z.strictObject({
  destination: z.string().regex(/^\//),
  type: z.string().optional(),
  source: z.string().optional(),
  options: z.array(z.string()).default([]),
});

/** Every Proxmox container has these, mounted as LXC does it. */
const ofEveryContainer: ReadonlySet<string> = new Set([
  "/proc",
  "/dev",
  "/dev/pts",
  "/sys",
  "/sys/fs/cgroup",
]);

const flags = "bind rbind ro rw suid nosuid dev nodev exec noexec atime noatime relatime strictatime".split(
  " ",
);
const propagation = "private rprivate slave rslave".split(" ");
const ofTmpfs = /^(size|mode|nr_inodes|uid|gid)=/;

/**
 * The mounts of a bundle: a folder of the host that is just mounted is a mount of a spec, and so an `mpN`;
 * all else, such as a single file, is a line of LXC's. Pure.
 * @returns or why one of them cannot be
 */
export function mountWords(
  values: unknown[],
  { bundle, isFolder }: BundleFacts,
): { fields: Partial<ContainerSpec>; lines: RawLine[] } | string {
  const mounts: Mount[] = [];
  const lines: RawLine[] = [];
  for (const value of values) {
    const parsed = OciMount.safeParse(value);
    if (!parsed.success)
      return z
        .prettifyError(parsed.error)
        .replaceAll(/✖ |\n\s*/g, " ")
        .trim();
    const { type = "none", source = type, options } = parsed.data;
    const target = parsed.data.destination.replace(/\/+/g, "/").replace(/(?<=.)\/$/, "");
    const isBind = type === "bind" || options.includes("bind") || options.includes("rbind");
    if (!isBind && ofEveryContainer.has(target)) continue;
    if (!isBind && type !== "tmpfs" && type !== "mqueue") return `${target}: ${type} is not mounted by LXC`;
    const unknown = options.find(
      (option) =>
        !flags.includes(option) && !propagation.includes(option) && (isBind || !ofTmpfs.test(option)),
    );
    if (unknown !== undefined) return `${target}: LXC has no option ${unknown}`;
    const said = options.filter((option) => !propagation.includes(option));
    if (!isBind) {
      lines.push(mountEntry({ source, target, type, options: [...said, "create=dir"] }));
      continue;
    }
    const path = resolve(bundle, source);
    if (isFolder(path) && said.every((option) => ["bind", "rbind", "ro", "rw"].includes(option))) {
      mounts.push({ type: "bind", source: path, target, ...(said.includes("ro") && { readOnly: true }) });
      continue;
    }
    const create = isFolder(path) ? "create=dir" : "create=file";
    const way = said.some((option) => /^r?bind$/.test(option)) ? [] : ["bind"];
    lines.push(mountEntry({ source: path, target, type: "none", options: [...way, ...said, create] }));
  }
  return { fields: mounts.length > 0 ? { mounts } : {}, lines };
}
