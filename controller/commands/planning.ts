import { join, relative } from "node:path";
import type { Observed } from "../../shared/container.ts";
import { exitCodes, NexcageError } from "../../shared/errors.ts";
import type { ProxmoxNode } from "../../shared/proxmox-node.ts";
import { specDigest } from "../../shared/spec.ts";
import { parseDuration } from "../../shared/units.ts";
import type { LocalImage } from "../apply/upload.ts";
import { cacheFolder } from "../cache-folder.ts";
import { resolveImage } from "../images/resolve.ts";
import type { Place } from "../inventory/model.ts";
import { planFleet } from "../plan/diff.ts";
import type { Desired, Plan } from "../plan/model.ts";
import type { FleetContext } from "./with-fleet.ts";

/** The wanted containers with the digests of their images, and the images' bytes; each image read once. */
export async function resolveImages({
  selection,
  progress,
  signal,
}: FleetContext): Promise<{ desired: Desired[]; images: LocalImage[] }> {
  const images = new Map<string, LocalImage>();
  const desired: Desired[] = [];
  for (const { spec, ...rest } of selection.wanted) {
    const { source } = spec;
    if (source.kind !== "rootfs") {
      desired.push({ ...rest, spec: { ...spec, source } });
      continue;
    }
    let image = images.get(source.path);
    if (image === undefined) {
      const resolved = await resolveImage(source.path, {
        cacheDir: join(cacheFolder(process.env), "images"),
        onProgress: ({ phase }) => progress.emit({ kind: `image.${phase}`, path: source.path }),
        signal,
      }).catch((error: unknown) => {
        throw withPlace(error, source.place);
      });
      image = { ...resolved, path: relative(process.cwd(), source.path) };
      images.set(source.path, image);
    }
    desired.push({ ...rest, spec: { ...spec, source: { kind: "image", digest: image.digest } } });
  }
  return { desired, images: [...images.values()] };
}

/** What is wrong with an image, told with the place in the user's file that names it. */
function withPlace(error: unknown, { file, line, column }: Place): unknown {
  if (!(error instanceof NexcageError) || error.code !== "INVALID_FILE") return error;
  return new NexcageError(error.code, `${file}:${line}:${column}: ${error.message}`, {
    hint: error.hint,
    cause: error,
  });
}

/** The plan of a command: the files' wishes against what was observed, as far as it is selected. */
export function planOf(
  { fleet, selection, opened }: FleetContext,
  options: { desired: Desired[]; observed: Map<string, Observed[]>; prune: boolean },
): Plan {
  return planFleet({
    ...options,
    fleet: fleet.name,
    selection,
    nodes: nodesOf(opened),
    unreachable: new Set(opened.unreachable.keys()),
  });
}

function nodesOf({ agents }: FleetContext["opened"]): Map<string, ProxmoxNode> {
  return new Map(
    [...agents].flatMap(([host, { hello }]): [string, ProxmoxNode][] =>
      hello.node === undefined ? [] : [[host, hello.node]],
    ),
  );
}

/** Whether a container is as wanted, and nobody has changed it by hand. */
export function isCurrent(desired: Desired, observed: Observed): boolean {
  return observed.digest === specDigest(desired.spec) && observed.drift === undefined;
}

/** Exit status of a command that only looked. */
export function lookExitCode({ opened, fleet }: Pick<FleetContext, "opened" | "fleet">): number {
  if (opened.unreachable.size === 0) return 0;
  return fleet.onUnreachable === "skip" ? exitCodes.PARTIAL : exitCodes.HOST_UNREACHABLE;
}

/**
 * `--lock-timeout` in ms; undefined where it was not given.
 * @throws {NexcageError} `USAGE`
 */
export function parseLockTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new NexcageError("USAGE", `--lock-timeout ${text}: not a duration`, {
    hint: "such as 30s, 5m or 1h",
  });
}
