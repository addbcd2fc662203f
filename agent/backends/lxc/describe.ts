import { type Described, DescribedSpec } from "../../../shared/container.ts";
import { changedFields } from "../../../shared/costs.ts";
import { NexcageError } from "../../../shared/errors.ts";
import { fieldOfRawKey, rawLinesOf } from "../../../shared/raw-lines.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { parseProperties } from "./guest-config.ts";
import { fieldsOf, shellWords } from "./guest-spec.ts";
import type { Guest } from "./guests.ts";
import type { HaResource } from "./ha.ts";
import { mountChanges } from "./mount-points.ts";
import { optionsOf } from "./options.ts";

/*
 * The mapping of options.ts backwards: what a guest that others have made would be as a spec. What does not
 * come back as it was by the mapping forwards is a problem, so that a later change cannot lose it in silence.
 */

/** Says nothing about what the container is, or is Proxmox's own to decide. */
const meaningless = /^(arch|ostype|rootfs|unprivileged|lock|parent|description|unused\d+)$/;

/** What a new container's files would come from is not known of a guest: any will do here. */
const anySource = { kind: "template", volume: "any:vztmpl/any" } as const;

/** A guest as a spec, and what that cannot say. Pure. */
export function describeGuest(
  { vmid, config, mark }: Guest,
  { ha }: { ha: HaResource | undefined },
): Described {
  const id = (config.values.get("hostname") ?? "").replaceAll(/[^A-Za-z0-9_.+-]/g, "-") || `ct${vmid}`;
  const { data: spec, error } = DescribedSpec.safeParse(fieldsOf(id, { vmid, config, ha }));
  const { problems, unsaid } =
    spec === undefined
      ? { problems: error.issues.map(issueText), unsaid: [] }
      : compare(spec, { vmid, config });
  const ostype = config.values.get("ostype");
  return {
    vmid,
    ...(spec !== undefined && { spec }),
    problems: [
      ...problems,
      ...(config.values.get("template") === "1" ? ["template: it is a template, and no container"] : []),
      ...(config.pending.size > 0
        ? [`pending: ${[...config.pending.keys()].join(", ")} wait for a restart: restart it first`]
        : []),
    ],
    unsaid,
    ...(ostype !== undefined && { ostype }),
    ...(mark !== undefined && {
      owner: { id: mark.id, ...(mark.fleet !== undefined && { fleet: mark.fleet }) },
    }),
  };
}

/** What Proxmox does not know of a container, and a fleet may say at will; the hostname is looked at by itself. */
const freeFields: ReadonlySet<string> = new Set([
  "source",
  "labels",
  "stopGracePeriodMs",
  "hostname",
  "proxmox.templateDownload",
]);

/**
 * Refuses a guest that is somebody's, that cannot be held as it is, or that the spec does not say as it is. Pure.
 * @throws {NexcageError} `CONTAINER_NOT_OWNED`, `SPEC_REFUSED`
 */
export function requireAdoptable(
  guest: Guest,
  spec: ContainerSpec,
  options: { ha: HaResource | undefined },
): void {
  const { vmid, spec: found, problems, owner } = describeGuest(guest, options);
  if (owner !== undefined)
    throw new NexcageError(
      "CONTAINER_NOT_OWNED",
      `guest ${vmid} is ${owner.id} of fleet ${owner.fleet ?? "(none)"}`,
    );
  if (found === undefined || problems.length > 0)
    throw new NexcageError("SPEC_REFUSED", `guest ${vmid} cannot be held as it is: ${problems.join("; ")}`);
  const there: ContainerSpec = { ...found, source: spec.source, id: spec.id };
  const hostname = guest.config.values.get("hostname");
  const differing = [
    ...changedFields(there, spec)
      .map(({ field }) => field)
      .filter((field) => !freeFields.has(field)),
    // Under another name it may have to be said, or not any more.
    ...(hostname === optionsOf(spec).get("hostname") ? [] : ["hostname"]),
  ];
  if (differing.length === 0) return;
  throw new NexcageError("SPEC_REFUSED", `guest ${vmid} is not as the fleet says: ${differing.join(", ")}`, {
    hint: "adopt it as it is, and change it with the next apply",
    details: { fields: differing },
  });
}

function issueText({ path, message }: { path: PropertyKey[]; message: string }): string {
  return `${path.join(".")}: ${message}`;
}

/** What the mapping would make of the spec, beside what is there. */
function compare(
  described: DescribedSpec,
  { vmid, config }: Pick<Guest, "vmid" | "config">,
): Pick<Described, "problems" | "unsaid"> {
  const { values, raw } = config;
  const spec = { ...described, source: anySource };
  const problems: string[] = [];
  const unsaid: string[] = [];
  const options = optionsOf(spec);
  const mounts = mountChanges(spec, { now: { vmid, config, volumes: {} }, storage: "" });
  const targets = new Set(spec.mounts?.map(({ target }) => target));
  for (const [key, value] of values) {
    if (meaningless.test(key) || key === "tags" || key === "template") continue;
    const mapped = options.get(key);
    if (mapped === undefined && isNothing(key, value)) continue;
    if (mapped !== undefined && isSame(key, value, mapped)) continue;
    const isMount = /^mp\d+$/.test(key);
    if (isMount && targets.has(parseProperties(value).get("mp") ?? "") && !mounts.set.has(key)) continue;
    // Interfaces and devices are numbered in the order of the fleet: one that it does not name would be overwritten.
    const isOurs = mapped !== undefined || isMount || /^(net|dev)\d+$/.test(key) || key === "entrypoint";
    (isOurs ? problems : unsaid).push(`${key}: ${value}`);
  }
  const mappedLines = new Set(rawLinesOf(spec).map(({ key, value }) => `${key}: ${value}`));
  for (const { key, value } of raw)
    if (key !== "lxc.console.logfile" && !mappedLines.has(`${key}: ${value}`))
      (fieldOfRawKey(key) === undefined ? unsaid : problems).push(`${key}: ${value}`);
  return { problems, unsaid };
}

/** An option that says no more than Proxmox takes for granted. */
function isNothing(key: string, value: string): boolean {
  return ["onboot", "protection", "cpulimit", "template", "debug"].includes(key) && Number(value) === 0;
}

function isSame(key: string, there: string, mapped: string): boolean {
  if (key === "entrypoint") return shellWords(there).join("\0") === shellWords(mapped).join("\0");
  if (!/^(net|dev)\d+$|^(features|startup)$/.test(key)) return there === mapped;
  return canonical(there) === canonical(mapped);
}

/** Properties in one order, without those that say nothing and what Proxmox made of its own and keeps. */
function canonical(text: string): string {
  return [...parseProperties(text)]
    .map(([key, value]) => [key === "" && /^\d+$/.test(value) ? "order" : key, value] as const)
    .filter(([key, value]) => value !== "0" || key === "order" || key === "up" || key === "down")
    .filter(
      ([key, value]) =>
        !/^(hwaddr|host-managed)$/.test(key) && value !== "manual" && !(key === "type" && value === "veth"),
    )
    .map(([key, value]) => `${key}=${value.toLowerCase()}`)
    .sort()
    .join(",");
}
