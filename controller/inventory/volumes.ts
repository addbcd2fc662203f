import type { z } from "zod";
import type { Mount } from "../../shared/spec.ts";
import { defined } from "./defined.ts";
import type { Container, Volume } from "./fleet-schema.ts";
import type { Path } from "./places.ts";

/** Takes note of a mistake at a path inside the container. */
export type ReportAt = (path: Path, message: string, hint?: string) => void;

/** `volumes` and `tmpfs` as mounts, in the order of the file. Pure. */
export function makeMounts({ volumes = [], tmpfs = [] }: Container, report: ReportAt): Mount[] {
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
  }
  return mounts.map(({ mount }) => mount);
}

function makeMount(volume: string | z.output<typeof Volume>, path: Path, report: ReportAt): Mount {
  if (typeof volume === "string") {
    const [source = "", target = "", option] = volume.split(":");
    return { type: "bind", source, target, ...(option === "ro" && { readOnly: true }) };
  }
  const { type, source, target, read_only: readOnly, tmpfs } = volume;
  switch (type) {
    case "bind":
      if (source === undefined) report(path, '"source" is missing', "the path on the host");
      if (tmpfs !== undefined) report([...path, "tmpfs"], '"tmpfs" means nothing for a bind volume');
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
    default:
      return type satisfies never;
  }
}
