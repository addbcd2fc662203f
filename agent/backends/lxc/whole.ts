import { statSync } from "node:fs";
import { NexcageError } from "../../../shared/errors.ts";
import { type RawLine, rawLinesOf } from "../../../shared/raw-lines.ts";
import { ContainerSpec } from "../../../shared/spec.ts";
import { readBundle } from "../oci-bundle.ts";
import { type BundleWords, bundleWords } from "./bundle-words.ts";
import { hostnameOf } from "./options.ts";
import { lineName } from "./raw-lines.ts";

/** A container with all that is said of it: by its spec, and by the bundle that it comes from. */
export type Whole = {
  spec: ContainerSpec;
  /** What its bundle says and a spec has no word for. */
  lines: RawLine[];
  /** The fields of its bundle that Proxmox has something of its own in place of. */
  replaced: string[];
  /** The bundle's root file system. */
  root?: string;
};

/**
 * What its bundle says now, if it has one, and over that its spec.
 * @throws {NexcageError} `BUNDLE_INVALID`, `SPEC_REFUSED` naming the field of config.json
 */
export async function wholeOf(spec: ContainerSpec): Promise<Whole> {
  const { source } = spec;
  if (source.kind !== "bundle") return { spec, lines: [], replaced: [] };
  const { config, file, root } = await readBundle(source.path);
  const isFolder = (path: string): boolean =>
    statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return { ...withWords(spec, bundleWords({ config, file, bundle: source.path, isFolder })), root };
}

/**
 * A spec with what its bundle says; its own words win, of the environment and the resources one by one, of what
 * is mounted by where. Pure.
 * @throws {NexcageError} `SPEC_REFUSED` for what no spec can say
 */
export function withWords(own: ContainerSpec, { fields, lines, replaced }: BundleWords): Whole {
  const targets = new Set(own.mounts?.map(({ target }) => target));
  const mounts = [
    ...(fields.mounts ?? []).filter(({ target }) => !targets.has(target)),
    ...(own.mounts ?? []),
  ];
  const merged = ContainerSpec.safeParse({
    hostname: hostnameOf(own.id),
    ...fields,
    ...own,
    ...(mounts.length > 0 && { mounts }),
    ...((fields.environment ?? own.environment) && {
      environment: { ...fields.environment, ...own.environment },
    }),
    ...((fields.resources ?? own.resources) && { resources: { ...fields.resources, ...own.resources } }),
    ...((fields.proxmox ?? own.proxmox) && { proxmox: { ...fields.proxmox, ...own.proxmox } }),
  });
  if (!merged.success) {
    const [issue] = merged.error.issues;
    throw new NexcageError("SPEC_REFUSED", `bundle: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const said = new Set(rawLinesOf(merged.data).map(lineName));
  const isOwn = (line: RawLine): boolean =>
    said.has(lineName(line)) ||
    [...targets].some((target) => lineName(line) === `lxc.mount.entry ${target}`) ||
    (own.user !== undefined && line.key === "lxc.init.groups");
  return { spec: merged.data, lines: lines.filter((line) => !isOwn(line)), replaced };
}
