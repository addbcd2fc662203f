import * as z from "zod";
import { ContainerId, Digest } from "../../../shared/ids.ts";
import { ContainerSpec, Source, specDigest } from "../../../shared/spec.ts";
import type { Kept } from "../backend.ts";
import type { GuestConfig } from "./guest-config.ts";

/** What makes a guest ours. It stands in the guest's description, and so goes with it when Proxmox migrates it. */
export const Mark = z.object({
  id: ContainerId,
  fleet: z.string().optional(),
  /** The node on which it was made: where it is another one now, it was migrated. */
  node: z.string().optional(),
  digest: Digest,
  /** Put aside by a replacement: it comes back when that fails, or goes. */
  aside: z.literal(true).optional(),
  /** The rest of its spec: another node to which it is migrated has no record of it. One of a newer agent may differ. */
  spec: z.unknown().optional(),
  /** The variables that its spec says; those of a mark without it are all that there are. */
  variables: z.array(z.string()).optional(),
  /** Where its named volumes are: `mpN`, or the volume itself where it is not mounted any more. */
  volumes: z.record(z.string(), z.string()).optional(),
  /** What is aside: the volumes that go over to its replacement, with their options, by key. */
  kept: z.record(z.string(), z.string()).optional(),
  /** What replaces: the volumes that have come over, by the key that they had. */
  carried: z.record(z.string(), z.string()).optional(),
});
export type Mark = z.infer<typeof Mark>;

/** What stands elsewhere in the configuration, and is not for everyone who reads a description. */
const KeptSpec = ContainerSpec.omit({ id: true, environment: true });
const KeptSource = z.looseObject({ source: Source });
/** pct(1): a description has 8192 characters at most, and is not ours alone. */
const keptSpecLength = 4096;

const word = "nexcage: ";

/** The mark of a container that is made from a spec. Pure. */
export function markOf(
  spec: ContainerSpec,
  { fleet, node, volumes = {} }: { fleet: string | undefined; node: string; volumes?: Mark["volumes"] },
): Mark {
  const { id, environment = {}, ...rest } = spec;
  const isShort = JSON.stringify(rest).length <= keptSpecLength;
  return {
    ...{ id, node, digest: specDigest(spec) },
    ...(fleet !== undefined && { fleet }),
    ...(Object.keys(volumes).length > 0 && { volumes }),
    ...(isShort && { spec: rest, variables: Object.keys(environment) }),
  };
}

/** What a mark and the configuration that it stands in know of a container; undefined where that is not all. Pure. */
export function keptOf(
  { id, fleet, digest, spec, variables: names }: Mark,
  { raw }: GuestConfig,
): Kept | undefined {
  const rest = KeptSpec.safeParse(spec);
  if (!rest.success) return undefined;
  const variables = raw
    .filter(({ key }) => key === "lxc.environment.runtime")
    .map(({ value }): [string, string] => {
      const end = value.indexOf("=");
      return [value.slice(0, end), value.slice(end + 1)];
    })
    .filter(([name]) => names?.includes(name) ?? true);
  const environment = variables.length > 0 && { environment: Object.fromEntries(variables) };
  const whole = ContainerSpec.safeParse({ ...rest.data, id, ...environment });
  if (!whole.success) return undefined;
  return { spec: whole.data, digest, ...(fleet !== undefined && { fleet }) };
}

/** The bundles that guests are made from; undefined where a mark does not say it. Pure. */
export function bundlesOf(guests: readonly { mark: Mark | undefined }[]): string[] | undefined {
  const sources = guests.flatMap(({ mark }) => (mark === undefined ? [] : [KeptSource.safeParse(mark.spec)]));
  if (sources.some(({ success }) => !success)) return undefined;
  return sources.flatMap(({ data }) => (data?.source.kind === "bundle" ? [data.source.path] : []));
}

/** A description's line that says whose the guest is. Pure. */
export function formatMark(mark: Mark): string {
  return `${word}${JSON.stringify(Mark.parse(mark))}`;
}

/** The mark in a description, which a person may have written more into; undefined where there is none. Pure. */
export function parseMark(description: string): Mark | undefined {
  const line = description.split("\n").find((text) => text.startsWith(word));
  if (line === undefined) return undefined;
  try {
    return Mark.safeParse(JSON.parse(line.slice(word.length))).data;
  } catch {
    return undefined;
  }
}

/** The description with this mark in place of the one that is there; what people wrote stays. Pure. */
export function withMark(description: string, mark: Mark): string {
  const others = description.split("\n").filter((line) => line !== "" && !line.startsWith(word));
  return [...others, formatMark(mark)].join("\n");
}
