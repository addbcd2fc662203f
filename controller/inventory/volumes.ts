import type { z } from "zod";
import { AbsolutePath, type Mount } from "../../shared/spec.ts";
import { defined } from "./defined.ts";
import type { Container, Volume } from "./fleet-schema.ts";
import type { Path } from "./places.ts";
import { requireWholeMebibytes } from "./proxmox.ts";
import { isRecord } from "./vocabulary.ts";

/** Takes note of a mistake at a path inside the container. */
export type ReportAt = (path: Path, message: string, hint?: string) => void;

const shortForm = /^([A-Za-z0-9][\w.-]{0,62}):(\/[^:]*?)(?::(r[ow]))?$/;

/** The names under which a container, as it stands in the file, mounts volumes of its own. Pure. */
export function volumeNames(container: unknown): string[] {
  const { volumes } = isRecord(container) ? container : {};
  return (Array.isArray(volumes) ? volumes : []).flatMap((item) => {
    const { type, source } = longForm(item);
    return type === "volume" && typeof source === "string" ? [source] : [];
  });
}

/**
 * A container with its short `NAME:/target` written out, and what `volumes:` of the fleet says of a volume put
 * where it is mounted; what stands there goes before. Pure.
 */
export function withDefinitions(container: unknown, definitions: Readonly<Record<string, unknown>>): unknown {
  if (!isRecord(container) || !Array.isArray(container.volumes)) return container;
  const volumes = container.volumes.map((item: unknown) => {
    const long = longForm(item);
    if (long.type !== "volume") return item;
    const definition = typeof long.source === "string" ? definitions[long.source] : undefined;
    return isRecord(definition) ? { ...definition, ...long } : long;
  });
  return { ...container, volumes };
}

function longForm(item: unknown): Record<string, unknown> {
  if (isRecord(item)) return item;
  const [, source, target, option] = shortForm.exec(typeof item === "string" ? item : "") ?? [];
  if (source === undefined) return {};
  return { type: "volume", source, target, ...(option === "ro" && { read_only: true }) };
}

/** `volumes` and `tmpfs` as mounts, in the order of the file. Pure. */
export function makeMounts({ runtime, volumes = [], tmpfs = [] }: Container, report: ReportAt): Mount[] {
  const mounts = [
    ...volumes.map((volume, index) => ({
      path: ["volumes", index],
      mount: makeMount(volume, ["volumes", index], report),
    })),
    ...tmpfs.map((target, index) => ({ path: ["tmpfs", index], mount: { type: "tmpfs" as const, target } })),
  ];
  const seen = new Set<string>();
  for (const { path, mount } of mounts) {
    const target = mount.target.replace(/\/+$/, "") || "/";
    if (target === "/") report(path, "nothing can be mounted over the container's root");
    if (seen.has(target)) report(path, `something is mounted on ${target} already`);
    seen.add(target);
    if (mount.type !== "volume") continue;
    if (runtime !== "lxc")
      report(path, 'a named volume needs "runtime: lxc"', "here: a path of the host, as in /srv/data:/data");
    if (seen.has(mount.name)) report(path, `volume "${mount.name}" is mounted already`);
    seen.add(mount.name);
  }
  return mounts.map(({ mount }) => mount);
}

function makeMount(volume: string | z.output<typeof Volume>, path: Path, report: ReportAt): Mount {
  if (typeof volume === "string") {
    const [source = "", target = "", option] = volume.split(":");
    return { type: "bind", source, target, ...(option === "ro" && { readOnly: true }) };
  }
  const { type, source, target, read_only: readOnly, tmpfs, size, storage, backup } = volume;
  if (type !== "tmpfs" && tmpfs !== undefined)
    report([...path, "tmpfs"], `"tmpfs" means nothing for a ${type} volume`);
  if (type !== "volume")
    for (const [word, value] of Object.entries({ size, storage, backup }))
      if (value !== undefined) report([...path, word], `"${word}" means nothing for a ${type}`);
  switch (type) {
    case "bind":
      if (source === undefined) report(path, '"source" is missing', "the path on the host");
      else if (!AbsolutePath.safeParse(source).success)
        report(
          [...path, "source"],
          `"${source}" is not an absolute path`,
          'for a volume write "type: volume"',
        );
      return { type, source: source ?? target, target, ...(readOnly === true && { readOnly }) };
    case "tmpfs":
      if (source !== undefined) report([...path, "source"], '"source" means nothing for a tmpfs');
      if (readOnly !== undefined) report([...path, "read_only"], '"read_only" means nothing for a tmpfs');
      return {
        type,
        target,
        ...defined({
          sizeBytes: tmpfs?.size,
          mode: tmpfs?.mode === undefined ? undefined : Number.parseInt(tmpfs.mode, 8),
        }),
      };
    case "volume": {
      if (source === undefined) report(path, '"source" is missing', "the name of the volume");
      else if (!/^[A-Za-z0-9][\w.-]{0,62}$/.test(source))
        report(
          [...path, "source"],
          `"${source}" is not the name of a volume`,
          "letters, digits and _.- only",
        );
      if (size === undefined)
        report(
          path,
          `volume "${source}" has no size`,
          `say it under "volumes" of the fleet, or here: size: 8g`,
        );
      requireWholeMebibytes(size, [...path, "size"], report);
      const isBackedUp = backup === true ? true : undefined;
      const isReadOnly = readOnly === true ? true : undefined;
      return {
        ...{ type, name: source ?? "", target, sizeBytes: size ?? 0 },
        ...defined({ storage, backup: isBackedUp, readOnly: isReadOnly }),
      };
    }
    default:
      return type satisfies never;
  }
}
