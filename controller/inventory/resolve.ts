import { NexcageError } from "../../shared/errors.ts";
import { ContainerId, quoteForMessage } from "../../shared/ids.ts";
import { nearestHint } from "../../shared/nearest.ts";
import { reportCollisions } from "./collisions.ts";
import { type ContainerEntry, readContainer, type Template } from "./containers.ts";
import { checkDependencies } from "./dependencies.ts";
import type { YamlDocument } from "./documents.ts";
import { FleetFrame, VolumeDefinition } from "./fleet-schema.ts";
import { type ParsedInventory, type ResolvedInventory, resolveInventory } from "./hosts.ts";
import { hasVariable } from "./interpolate.ts";
import { Inventory } from "./inventory-schema.ts";
import type { Report } from "./mistakes.ts";
import type { Fleet, Host, Resolved, Wanted } from "./model.ts";
import { makePlacer, type Placed, type Placer } from "./placement.ts";
import { explainSettings, type Setting } from "./settings.ts";
import { reportForeignWords, textsIn, validate } from "./validate.ts";
import { isRecord } from "./vocabulary.ts";
import { volumeNames } from "./volumes.ts";

type Options = { home: string; report: Report };

/** What the documents come to, and where each setting of a host comes from. */
export type Explained = Resolved & {
  /** @throws {NexcageError} `SELECTION_EMPTY` for a host that is not there */
  explain(host: string): Setting[];
};

/**
 * Inventory and fleet documents → hosts, and every container on its host. All mistakes are reported;
 * what is given back is whole only where there were none. Pure.
 */
export function resolve(documents: YamlDocument[], options: Options): Explained {
  const { inventories, fleets } = sortByKind(documents, options);
  const parsed = inventories.flatMap((document): ParsedInventory[] => {
    const value = validate(Inventory, document.value, { document, ...options });
    reportVariables(document.value, document, options);
    return value === undefined ? [] : [{ document, value }];
  });
  const inventory = resolveInventory(parsed, options);
  const [fleet, ...others] = fleets;
  for (const document of others)
    options.report(document.keyPlace(["kind"]), "a second fleet", "one command works on one fleet");
  // With an inventory that could not be read, every host and group of the fleet would seem unknown.
  const isWhole = parsed.length > 0 && parsed.length === inventories.length;
  return {
    hosts: inventory.hosts,
    fleet: fleet && resolveFleet(fleet, { ...options, inventory: isWhole ? inventory : undefined }),
    explain(host) {
      const level = inventory.levels.get(host);
      if (level !== undefined) return explainSettings(level);
      throw new NexcageError("SELECTION_EMPTY", `there is no host ${quoteForMessage(host)}`, {
        hint: nearestHint(host, inventory.levels.keys(), "hosts"),
      });
    },
  };
}

function sortByKind(
  documents: YamlDocument[],
  { report }: Options,
): { inventories: YamlDocument[]; fleets: YamlDocument[] } {
  const kinds = ["Inventory", "Fleet"];
  const kindOf = ({ value }: YamlDocument): unknown => (isRecord(value) ? value.kind : undefined);
  for (const document of documents) {
    const kind = kindOf(document);
    if (typeof kind === "string" && kinds.includes(kind)) continue;
    const hint =
      typeof kind === "string" ? nearestHint(kind, kinds, "kinds") : "write kind: Inventory or kind: Fleet";
    report(
      document.valuePlace(["kind"]),
      kind === undefined ? '"kind" is missing' : `${JSON.stringify(kind)} is not a kind of document`,
      hint,
    );
  }
  return {
    inventories: documents.filter((document) => kindOf(document) === "Inventory"),
    fleets: documents.filter((document) => kindOf(document) === "Fleet"),
  };
}

function reportVariables(value: unknown, document: YamlDocument, { report }: Options): void {
  for (const { path, text } of textsIn(value))
    if (hasVariable(text))
      report(
        document.valuePlace(path),
        '"{{" can stand in containers only',
        `here \${NAME} takes a value from the environment`,
      );
}

function resolveFleet(
  document: YamlDocument,
  { inventory, ...options }: Options & { inventory: ResolvedInventory | undefined },
): Fleet | undefined {
  const frame = validate(FleetFrame, document.value, { document, ...options });
  if (!isRecord(document.value)) return undefined;
  const { containers: raw, volumes: definitions, ...around } = document.value;
  reportVariables(around, document, options);
  const named = isRecord(raw) ? Object.entries(raw) : [];
  const volumes = isRecord(definitions) ? definitions : {};
  reportVolumes(volumes, named, { document, ...options });
  const entries = named.flatMap(
    ([name, value]) =>
      readContainer(name, value, { document, volumes, update: frame?.update, ...options }) ?? [],
  );
  checkDependencies(entries, { names: named.map(([name]) => name), document, ...options });
  if (frame === undefined || inventory === undefined) return undefined;

  const hosts = new Map(inventory.hosts.map((host) => [host.name, host]));
  const placer = makePlacer(inventory.hosts);
  const wanted = entries.flatMap((entry) => placeContainer(entry, { placer, hosts, document, ...options }));
  reportCollisions(wanted, { document, ...options });
  return {
    name: frame.name,
    prune: frame.prune,
    onUnreachable: frame.on_unreachable,
    limits: frame.limits?.max_destroy === undefined ? {} : { maxDestroy: frame.limits.max_destroy },
    lockWaitMs: frame.lock?.wait ?? 0,
    wanted: wanted.sort(byHostThenId),
    place: document.keyPlace(["name"]),
  };
}

/** A volume is one container's own, though each of its replicas has one: others that name it would get another. */
function reportVolumes(
  volumes: Readonly<Record<string, unknown>>,
  containers: [name: string, value: unknown][],
  { document, report }: Options & { document: YamlDocument },
): void {
  for (const [name, definition] of Object.entries(volumes)) {
    const path = ["volumes", name];
    reportForeignWords(VolumeDefinition, definition, { document, path, report });
    const [owner, ...others] = containers.flatMap(([container, value]) =>
      volumeNames(value).includes(name) ? [container] : [],
    );
    if (owner === undefined)
      report(
        document.keyPlace(path),
        `no container mounts volume "${name}"`,
        `as in volumes: [${name}:/data]`,
      );
    for (const other of others)
      report(
        document.keyPlace(["containers", other, "volumes"]),
        `volume "${name}" would be of both "${owner}" and "${other}"`,
        "a volume of Proxmox's belongs to one container: give the other its own",
      );
  }
}

function placeContainer(
  entry: ContainerEntry,
  context: Options & { placer: Placer; hosts: ReadonlyMap<string, Host>; document: YamlDocument },
): Wanted[] {
  const { placer, hosts, document, report } = context;
  const placed = placer(entry.name, entry.where);
  if (!Array.isArray(placed)) {
    const { word, index, message, hint } = placed;
    const path = word === "host" ? ["host"] : ["placement", word, ...(index === undefined ? [] : [index])];
    report(document.valuePlace(["containers", entry.name, ...path]), message, hint);
    return [];
  }
  return placed.flatMap((replica): Wanted[] => {
    const host = hosts.get(replica.host);
    const template = host && entry.templateOn(host);
    return template === undefined ? [] : makeWanted(entry, replica, { template, report });
  });
}

function makeWanted(
  { name, where, dependsOn, protect, snapshot, place }: ContainerEntry,
  { host, number, reason }: Placed,
  { template, report }: { template: Template; report: Report },
): Wanted[] {
  const { success, data: id } = ContainerId.safeParse(number === undefined ? name : `${name}-${number}`);
  if (!success) {
    report(place, `the id ${name}-${number} is too long`, "at most 128 letters");
    return [];
  }
  const spec = { ...template, id };
  return [{ name, id, host, mode: where.mode, spec, dependsOn, placement: reason, protect, snapshot, place }];
}

function byHostThenId(a: Wanted, b: Wanted): number {
  if (a.host !== b.host) return a.host < b.host ? -1 : 1;
  return a.id < b.id ? -1 : 1; // not localeCompare: a plan must not depend on LANG
}
