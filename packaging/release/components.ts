import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import * as z from "zod";

const root = join(import.meta.dirname, "../..");

/** Something of others that is in the product. */
export type Component = {
  name: string;
  version: string;
  /** An SPDX licence expression. */
  licence: string;
  /** A package URL. */
  purl: string;
  /** Where vulnerabilities are filed under another name. */
  cpe?: string;
  /** Of the archive that it came in. */
  digest?: { algorithm: "sha256" | "sha512"; hex: string };
  /** Which programs have it, or which other component, by its name. */
  in: string[];
  /** In a bundle or copied from source, linked into native code, or a program beside ours. */
  how: "bundled" | "linked" | "beside";
};

const programs = ["nexcage", "nexcage-agent"] as const;
const Bundled = z.record(z.enum(programs), z.array(z.string()));
const Manifest = z.object({
  name: z.string(),
  version: z.string(),
  license: z.string().optional(),
  licenses: z.array(z.object({ type: z.string() })).optional(), // as ssh2 still has it
});
const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), integrity: z.string().optional() }),
  ),
});

/** Everything of others in a built tree, sorted by its package URL. */
export async function componentsOf(tree: string): Promise<Component[]> {
  const found = new Map<string, Component>();
  for (const component of [...npmComponents(tree), ...(await nativeComponents())]) {
    const same = found.get(component.purl); // from another folder of node_modules
    found.set(component.purl, { ...component, in: [...new Set([...(same?.in ?? []), ...component.in])] });
  }
  return [...found.values()].sort((one, other) => (one.purl < other.purl ? -1 : 1));
}

/** The npm packages of which something is in a bundle, or beside it. */
function npmComponents(tree: string): Component[] {
  const bundled = Bundled.parse(readJson(join(tree, "bundled.json")));
  const folders = new Map<string, Pick<Component, "in" | "how">>();
  for (const program of programs)
    for (const folder of bundled[program] ?? []) {
      const known = folders.get(folder);
      folders.set(folder, { in: [...(known?.in ?? []), program], how: "bundled" });
    }
  // koffi's own part is not in the bundle: packaging/koffi-native.ts stands in for it.
  const platform = `linux-${process.arch}`;
  folders.set(`node_modules/@koromix/koffi-${platform}`, { in: ["nexcage-agent"], how: "beside" });
  folders.set(`node_modules/node-${platform}`, { in: [...programs], how: "beside" });
  // The headers that sshcrypto.node is compiled with.
  folders.set("node_modules/nan", { in: ["nexcage"], how: "linked" });
  return [...folders].map(([folder, where]) => npmComponent(folder, where));
}

function npmComponent(folder: string, where: Pick<Component, "in" | "how">): Component {
  const { name, version, license, licenses } = Manifest.parse(readJson(join(root, folder, "package.json")));
  const licence = license ?? licenses?.[0]?.type;
  if (licence === undefined) throw new Error(`${folder} does not say its licence`);
  const isNode = name.startsWith("node-linux-");
  return {
    name: isNode ? "node" : name,
    version,
    licence,
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    ...(isNode && { cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*` }),
    digest: { algorithm: "sha512", hex: lockedSha512(folder) },
    ...where,
  };
}

/** That of the package's archive, as the lock file has it. */
export function lockedSha512(folder: string): string {
  const { packages } = Lock.parse(readJson(join(root, "package-lock.json")));
  const integrity = packages[folder]?.integrity;
  if (!integrity?.startsWith("sha512-")) throw new Error(`package-lock.json has no sha512 of ${folder}`);
  return Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex");
}

/** The source of libcrun, as `native/build` pins it. */
export function crunSource(): { version: string; sha256: string } {
  const script = readFileSync(join(root, "native/build"), "utf8");
  const [, version, sha256] = /^version=(\S+) suite=\S+ sha256=([0-9a-f]{64})$/m.exec(script) ?? [];
  if (version === undefined || sha256 === undefined) throw new Error("native/build does not pin libcrun");
  return { version, sha256 };
}

/** What is linked into `libncx.so` and the native programs: libcrun, what its source has a copy of, Debian's libraries. */
async function nativeComponents(): Promise<Component[]> {
  const crun = crunSource();
  const agent = ["nexcage-agent"];
  const copied = (name: string, version: string, licence: string): Component => ({
    name,
    version,
    licence,
    purl: `pkg:generic/${name}@${version}`,
    in: ["libcrun"],
    how: "bundled",
  });
  return [
    {
      name: "libcrun",
      version: crun.version,
      licence: "LGPL-2.1-or-later",
      purl: `pkg:generic/libcrun@${crun.version}`,
      cpe: `cpe:2.3:a:crun_project:crun:${crun.version}:*:*:*:*:*:*:*`,
      digest: { algorithm: "sha256", hex: crun.sha256 },
      in: agent,
      how: "linked",
    },
    // As in the source of libcrun 1.21; a test holds that against the pinned version.
    copied("yajl", "2.1.0", "ISC"),
    copied("libocispec", "0.3", "Apache-2.0"),
    copied("blake3", "1.5.0", "CC0-1.0 OR Apache-2.0"),
    await debianLibrary("libseccomp", {
      from: "libseccomp-dev",
      licence: "LGPL-2.1-only",
      vendor: "libseccomp_project",
    }),
    await debianLibrary("libcap", {
      from: "libcap-dev",
      licence: "BSD-3-Clause OR GPL-2.0-only",
      vendor: "libcap_project",
    }),
    await debianLibrary("glibc", { from: "libc6-dev", licence: "LGPL-2.1-or-later", vendor: "gnu" }),
  ];
}

/** A static library as this machine's Debian has it. */
async function debianLibrary(
  name: string,
  { from, licence, vendor }: { from: string; licence: string; vendor: string },
): Promise<Component> {
  const format = "${source:Package} ${source:Upstream-Version} ${source:Version}";
  const { stdout } = await execa("dpkg-query", ["--show", "--showformat", format, from]);
  const [source = "", version = "", full = ""] = stdout.split(" ");
  return {
    name,
    version,
    licence,
    purl: `pkg:deb/debian/${source}@${encodeURIComponent(full)}?arch=source`,
    cpe: `cpe:2.3:a:${vendor}:${name}:${version}:*:*:*:*:*:*:*`,
    in: ["nexcage-agent"],
    how: "linked",
  };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
