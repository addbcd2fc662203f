import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { execa } from "execa";

/** A file of a package; `path` is that on a host without the first slash. */
export type PackageFile = { path: string; isProgram?: boolean } & (
  | { from: string }
  | { content: string | Uint8Array }
);

export type Package = {
  name: string;
  version: string;
  /** More fields of deb-control(5). */
  fields: Record<string, string>;
  files: PackageFile[];
  /** Folders that hold nothing at first. */
  folders?: string[];
  /** Files that are kept as the administrator leaves them. */
  conffiles?: string[];
  /** A script for deb-postrm(5). */
  postrm?: string;
  /** What lintian says and is right as it is, with the reasons. */
  overrides?: string;
  copyright: string;
  /** What users read of this version. */
  changelog?: string;
};

export type PackageOptions = {
  /** The folder for the package. */
  out: string;
  /** In seconds. Nothing in the package is newer: the same files always make the same package. */
  epoch: number;
  /** Of zstd. */
  level: number;
  /** As in `Name <address>`. */
  maintainer: string;
};

/** How Debian calls this machine's architecture. */
export const architecture = process.arch === "x64" ? "amd64" : process.arch;

/** Builds one package; its path. Wants a umask of 022. */
export async function buildPackage(described: Package, options: PackageOptions): Promise<string> {
  const { name, version } = described;
  const folder = await mkdtemp(join(tmpdir(), "nexcage-deb-"));
  try {
    const tree = join(folder, "tree");
    const files = [...described.files, ...documents(described, options)].sort(byPath);
    for (const file of files) await place(file, tree);
    for (const path of described.folders ?? []) await mkdir(join(tree, path), { recursive: true });
    await writeControl(tree, { described, files, maintainer: options.maintainer });
    const target = join(options.out, `${name}_${version}_${architecture}.deb`);
    await mkdir(options.out, { recursive: true });
    await execa("dpkg-deb", ["--root-owner-group", "-Zzstd", `-z${options.level}`, "--build", tree, target], {
      env: { SOURCE_DATE_EPOCH: String(options.epoch) },
    });
    return target;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** As gzip -9n: without name and time. */
export function gzip(text: string | Uint8Array): Uint8Array {
  return gzipSync(text, { level: 9 });
}

function byPath(one: PackageFile, other: PackageFile): number {
  return one.path < other.path ? -1 : 1;
}

async function place(file: PackageFile, tree: string): Promise<void> {
  const target = join(tree, file.path);
  await mkdir(dirname(target), { recursive: true });
  if ("from" in file) await copyFile(file.from, target);
  else await writeFile(target, file.content);
  await chmod(target, file.isProgram ? 0o755 : 0o644);
}

/** What each package has below /usr/share: its licences, and its changelogs. */
function documents(
  { name, version, copyright, changelog, overrides }: Package,
  { epoch, maintainer }: PackageOptions,
): PackageFile[] {
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  const entry = `${name} (${version}) stable; urgency=medium\n\n  * Packaged.\n\n -- ${maintainer}  ${date}\n`;
  const folder = `usr/share/doc/${name}`;
  return [
    { path: `${folder}/copyright`, content: copyright },
    { path: `${folder}/changelog.Debian.gz`, content: gzip(entry) },
    ...(changelog === undefined ? [] : [{ path: `${folder}/changelog.gz`, content: gzip(changelog) }]),
    ...(overrides === undefined ? [] : [{ path: `usr/share/lintian/overrides/${name}`, content: overrides }]),
  ];
}

async function writeControl(
  tree: string,
  { described, files, maintainer }: { described: Package; files: PackageFile[]; maintainer: string },
): Promise<void> {
  const { name, version, fields, conffiles, postrm } = described;
  const sums: string[] = [];
  let bytes = 0;
  for (const { path } of files) {
    bytes += (await stat(join(tree, path))).size;
    if (conffiles?.includes(path)) continue; // may change
    const md5 = createHash("md5").update(await readFile(join(tree, path)));
    sums.push(`${md5.digest("hex")}  ${path}\n`);
  }
  const control = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: maintainer,
    "Installed-Size": String(Math.ceil(bytes / 1024)),
    Section: "admin",
    Priority: "optional",
    ...fields,
  };
  const lines = Object.entries(control).map(([field, value]) => `${field}: ${value}\n`);
  const folder = join(tree, "DEBIAN");
  await mkdir(folder);
  await writeFile(join(folder, "control"), lines.join(""));
  await writeFile(join(folder, "md5sums"), sums.join(""));
  if (conffiles !== undefined)
    await writeFile(join(folder, "conffiles"), conffiles.map((path) => `/${path}\n`).join(""));
  if (postrm !== undefined) await writeFile(join(folder, "postrm"), postrm, { mode: 0o755 });
}
