/*
 * Templates of Proxmox's by name: its files are called NAME_VERSION_ARCHITECTURE.tar.zst, as in
 * `debian-13-standard_13.1-2_amd64.tar.zst`. The plan and the agent look them up alike.
 */

const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  arm64: "arm64",
  arm: "armhf",
  ia32: "i386",
  riscv64: "riscv64",
};

/** Whether a file of a storage's template folder is a template, and no download that has not ended. Pure. */
export function isTemplateFile(name: string): boolean {
  return /\.tar(\.(gz|xz|zst|bz2))?$/.test(name);
}

/** Whether a template is named by its volume, as in `local:vztmpl/FILE`, and not by its name. Pure. */
export function isVolume(template: string): boolean {
  return template.includes(":vztmpl/");
}

/**
 * The template that is meant: the very volume; or, by name with or without version, the newest for the
 * architecture. Undefined where there is none. Pure.
 * @param wanted `local:vztmpl/FILE`, `debian-13-standard`, `debian-13-standard_13.1-2` or a file's name
 * @param there volumes, or files' names
 * @param architecture as Node calls it: `x64`
 */
export function findTemplate(
  wanted: string,
  there: readonly string[],
  { architecture }: { architecture: string },
): string | undefined {
  if (isVolume(wanted)) return there.find((volume) => volume === wanted);
  return there
    .flatMap((volume) => {
      const { names, version, architecture: its } = partsOf(volume);
      const isForHere = its === undefined || its === (architectures[architecture] ?? architecture);
      return isForHere && names.includes(wanted) ? [{ volume, version }] : [];
    })
    .sort((a, b) => compareVersions(b.version, a.version) || (a.volume < b.volume ? -1 : 1))
    .at(0)?.volume;
}

/** By name, then from the oldest version to the newest. Pure. */
export function compareTemplates(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  if (left.name !== right.name) return left.name < right.name ? -1 : 1;
  return compareVersions(left.version, right.version);
}

function partsOf(volume: string) {
  const file = volume.split("/").at(-1) ?? "";
  const stem = file.replace(/\.tar(\.\w+)?$/, "");
  const [, base = stem, architecture] =
    /^(.+)_(amd64|arm64|armhf|i386|riscv32|riscv64|all)$/.exec(stem) ?? [];
  const [name = "", version = ""] = base.split(/_(.*)/);
  return {
    name,
    names: [file, stem, base, name],
    version,
    architecture: architecture === "all" ? undefined : architecture,
  };
}

/** By their numbers: 13.10-1 comes after 13.9-2. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(/\D+/).map(Number));
  for (let at = 0; at < Math.max(left?.length ?? 0, right?.length ?? 0); at++) {
    const difference = (left?.[at] ?? -1) - (right?.[at] ?? -1);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : Number(a > b);
}
