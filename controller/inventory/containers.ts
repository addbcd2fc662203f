import { nearestHint } from "../../shared/nearest.ts";
import type { ContainerSpec, SnapshotPolicy } from "../../shared/spec.ts";
import { reportContradictions } from "./contradictions.ts";
import { defined, unlessEmpty } from "./defined.ts";
import type { YamlDocument } from "./documents.ts";
import { Container, type FleetFrame } from "./fleet-schema.ts";
import { fillVariables, hasVariable } from "./interpolate.ts";
import { expandPath } from "./local-path.ts";
import type { Report } from "./mistakes.ts";
import type { Host, Place, WantedSource } from "./model.ts";
import type { Where } from "./placement.ts";
import type { Path } from "./places.ts";
import { makeDevices, makeNetworks, makeProxmox, makeResources } from "./proxmox.ts";
import { parseValue, reportForeignWords, textsIn } from "./validate.ts";
import { isRecord } from "./vocabulary.ts";
import { makeMounts, type ReportAt, withDefinitions } from "./volumes.ts";

/** A container's spec before its replicas have their ids. */
export type Template = Omit<ContainerSpec, "id" | "source"> & { source: WantedSource };

/** One key of `containers:`, parsed. */
export type ContainerEntry = {
  name: string;
  where: Where;
  dependsOn: string[];
  protect: boolean;
  snapshot: SnapshotPolicy;
  place: Place;
  /** What it is on this host, its variables filled in; undefined where that has mistakes, which are reported. */
  templateOn(host: Host): Template | undefined;
};

/** The words that decide where and when it runs; one host's variables cannot stand in them. */
const Frame = Container.pick({
  host: true,
  mode: true,
  replicas: true,
  placement: true,
  depends_on: true,
  protect: true,
  update: true,
});
const frameWords: ReadonlySet<PropertyKey> = new Set([...Object.keys(Frame.shape), "runtime"]);

/** Parses one container; undefined where it cannot even be placed. Mistakes are reported. Pure. */
export function readContainer(
  name: string,
  written: unknown,
  {
    document,
    home,
    report,
    volumes,
    update,
  }: {
    document: YamlDocument;
    home: string;
    report: Report;
    volumes: Readonly<Record<string, unknown>>;
    /** What the fleet says of all its containers. */
    update: FleetFrame["update"];
  },
): ContainerEntry | undefined {
  const value = withDefinitions(written, volumes);
  const path = ["containers", name];
  const at = { document, path, report };
  const reportAt: ReportAt = (inner, message, hint) =>
    report(document.valuePlace([...path, ...inner]), message, hint);
  reportForeignWords(Container, value, at);

  const variables = [...textsIn(value)].filter(({ text }) => hasVariable(text));
  for (const { path: inner } of variables)
    if (frameWords.has(inner[0] ?? ""))
      reportAt(inner, '"{{" cannot stand here', "what differs by host cannot decide where it runs");
  const open = new Set(variables.map(({ path: inner }) => [...path, ...inner].join("\0")));
  const parsed = parseValue(Container, value, { ...at, ignore: (issue) => open.has(issue.join("\0")) });
  const frame = Frame.safeParse(value).data;
  if (frame === undefined || !isRecord(value)) return undefined;
  const snapshot = frame.update?.snapshot ?? update?.snapshot ?? "none";
  reportContradictions({ ...value, update: { snapshot } }, (word, message, hint) =>
    report(document.keyPlace([...path, ...word]), message, hint),
  );

  const fixed = parsed === undefined ? undefined : makeTemplate(parsed, { document, path, home, reportAt });
  const filledIn = memoize((text: string) => {
    const container = parseValue(Container, JSON.parse(text), at);
    return container === undefined ? undefined : makeTemplate(container, { document, path, home, reportAt });
  });
  return {
    name,
    where: {
      host: frame.host,
      mode: frame.mode,
      replicas: frame.replicas ?? 1,
      constraints: frame.placement?.constraints ?? [],
      spreadBy: frame.placement?.spread?.by,
      maxPerHost: frame.placement?.max_per_host,
    },
    dependsOn: [...new Set(frame.depends_on ?? [])],
    protect: frame.protect,
    snapshot,
    place: document.keyPlace(path),
    templateOn: (host) =>
      variables.length === 0 ? fixed : filledIn(JSON.stringify(fillIn(value, [], { host, reportAt }))),
  };
}

function memoize<Result>(compute: (key: string) => Result): (key: string) => Result {
  const results = new Map<string, Result>();
  return (key) => {
    const known = results.get(key);
    if (known !== undefined) return known;
    const result = compute(key);
    results.set(key, result);
    return result;
  };
}

/** The value with each `{{ name }}` replaced by what this host has for it. */
function fillIn(value: unknown, path: Path, to: { host: Host; reportAt: ReportAt }): unknown {
  const { host, reportAt } = to;
  if (typeof value === "string") {
    if (!hasVariable(value)) return value;
    const known: Readonly<Record<string, string>> = { ...host.vars, "host.name": host.name };
    const { text, problems } = fillVariables(value, (name) => {
      const found = known[name];
      if (found === undefined)
        reportAt(
          path,
          `host ${host.name} has no variable "${name}"`,
          nearestHint(name, Object.keys(known), "variables there"),
        );
      return found;
    });
    for (const { message, hint } of problems) reportAt(path, message, hint);
    return text;
  }
  if (Array.isArray(value)) return value.map((item, index) => fillIn(item, [...path, index], to));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, fillIn(item, [...path, key], to)]),
  );
}

function makeTemplate(
  container: Container,
  {
    document,
    path,
    home,
    reportAt,
  }: { document: YamlDocument; path: Path; home: string; reportAt: ReportAt },
): Template {
  const { bundle, rootfs, template } = container;
  const source: WantedSource =
    bundle !== undefined
      ? { kind: "bundle", path: bundle }
      : template !== undefined
        ? { kind: "template", volume: template }
        : {
            kind: "rootfs",
            path: expandPath(rootfs ?? "", { file: document.path, home }),
            place: document.valuePlace([...path, "rootfs"]),
          };
  return {
    runtime: container.runtime,
    source,
    ...defined({
      command: container.command,
      environment: unlessEmpty(container.environment),
      user: container.user,
      workingDir: container.working_dir,
      hostname: container.hostname,
      mounts: unlessEmpty(makeMounts(container, reportAt)),
      resources: makeResources(container, reportAt),
      readOnly: container.read_only === true ? true : undefined,
      capAdd: unlessEmpty(sorted(container.cap_add)),
      capDrop: unlessEmpty(sorted(container.cap_drop)),
      labels: unlessEmpty(container.labels),
      stopSignal: container.stop_signal,
      stopGracePeriodMs: container.stop_grace_period,
      networks: unlessEmpty(makeNetworks(container, reportAt)),
      devices: unlessEmpty(makeDevices(container, reportAt)),
      proxmox: makeProxmox(container, reportAt),
    }),
  };
}

/** Their order means nothing, so that another order is no change. */
function sorted(names: string[] | undefined): string[] | undefined {
  return names && [...new Set(names)].sort();
}
