import { isDeepStrictEqual } from "node:util";
import type { YamlDocument } from "./documents.ts";
import type { Group, Membership } from "./groups.ts";
import { builtIn, type Settings } from "./inventory-schema.ts";
import type { Report } from "./mistakes.ts";
import type { Place } from "./model.ts";
import type { Path } from "./places.ts";
import { isRecord } from "./vocabulary.ts";

/*
 * Three levels and no more: defaults < groups < host. Beside the values goes a ledger of who said what
 * where, so that every value can be explained.
 */

/** Who said it. The product itself has no place. */
type Origin = { level: "host" | "group" | "defaults"; name: string; place: Place } | { level: "built-in" };

/** A setting of a host by its words (`ssh.user`, `vars.bridge`), with where its value comes from. */
export type Setting = { name: string; value: unknown; origin: Origin };

/** Settings, and by the name of each (`ssh.user`) where it stands. */
export type Level = { settings: Settings; ledger: ReadonlyMap<string, Entry> };

type Source = {
  level: "host" | "group" | "defaults";
  /** The name of the host or group. */
  owner: string;
  document: YamlDocument;
  path: Path;
};
type Entry = Source & { value: unknown };

/** The settings that stand in one place. Maps count word by word, lists as a whole. */
export function levelOf(settings: Settings, source: Source): Level {
  const ledger = new Map<string, Entry>();
  for (const [word, value] of Object.entries(settings)) {
    const path = [...source.path, word];
    if (!isRecord(value)) ledger.set(word, { ...source, value, path });
    else
      for (const [inner, item] of Object.entries(value))
        ledger.set(`${word}.${inner}`, { ...source, value: item, path: [...path, inner] });
  }
  return { settings, ledger };
}

/** Later levels go over earlier ones. */
export function overlay(levels: Level[]): Level {
  return levels.reduce((under, over) => ({
    settings: {
      ...under.settings,
      ...over.settings,
      ssh: { ...under.settings.ssh, ...over.settings.ssh },
      agent: { ...under.settings.agent, ...over.settings.agent },
      concurrency: { ...under.settings.concurrency, ...over.settings.concurrency },
      labels: { ...under.settings.labels, ...over.settings.labels },
      vars: { ...under.settings.vars, ...over.settings.vars },
    },
    ledger: new Map([...under.ledger, ...over.ledger]),
  }));
}

/**
 * Gives for each host the level of all its groups together, a group over those that it is a child of.
 * Where two groups differ, neither is a child of the other, and the host does not decide, it is reported.
 */
export function makeGroupLevels(
  groups: ReadonlyMap<string, Group>,
  { membership, report }: { membership: Membership; report: Report },
): (host: string, own: Level) => Level {
  const levels = new Map(
    [...groups.values()].map(
      ({ name, value: { hosts: _hosts, children: _children, ...settings }, document }) => [
        name,
        levelOf(settings, { level: "group", owner: name, document, path: ["groups", name] }),
      ],
    ),
  );
  // Hosts of the same groups share the work, as most of a large inventory do.
  const combined = new Map<string, ReturnType<typeof combine>>();

  return (host, own) => {
    const names = membership.groupsOf.get(host) ?? [];
    const key = names.join(",");
    const found = combined.get(key) ?? combine(names, { levels, membership });
    combined.set(key, found);
    for (const { name, first, second } of found.disputes)
      if (!own.ledger.has(name))
        report(
          second.document.valuePlace(second.path),
          `host ${host} is in the groups "${first.owner}" and "${second.owner}", which differ about ${name}`,
          "set it on the host, or in one of the two only",
        );
    return found.level;
  };
}

type Dispute = { name: string; first: Entry; second: Entry };

function combine(
  names: string[],
  { levels, membership }: { levels: ReadonlyMap<string, Level>; membership: Membership },
): { level: Level; disputes: Dispute[] } {
  const depth = (group: string): number => names.filter((other) => membership.isBelow(group, other)).length;
  const parentsFirst = names.toSorted((a, b) => depth(a) - depth(b));
  const ordered = parentsFirst.flatMap((name) => levels.get(name) ?? []);

  const said = new Map<string, Entry[]>();
  for (const { ledger } of ordered)
    for (const [name, entry] of ledger) said.set(name, [...(said.get(name) ?? []), entry]);
  const disputes = [...said].flatMap(([name, entries]): Dispute[] => {
    const [first, ...others] = entries.filter(
      ({ owner }) => !entries.some((other) => membership.isBelow(other.owner, owner)),
    );
    const second = others.find(({ value }) => !isDeepStrictEqual(value, first?.value));
    return first === undefined || second === undefined ? [] : [{ name, first, second }];
  });
  return { level: overlay([nothing, ...ordered]), disputes };
}

export const nothing: Level = { settings: {}, ledger: new Map() };

/** All settings of a host, with what the product says where no file does; sorted by name. */
export function explainSettings({ ledger }: Level): Setting[] {
  const said = [...ledger].map(
    ([name, { value, level, owner, document, path }]): Setting => ({
      name,
      value,
      origin: { level, name: owner, place: document.valuePlace(path) },
    }),
  );
  const unsaid = Object.entries(builtIn)
    .filter(([name]) => !ledger.has(name))
    .map(([name, value]): Setting => ({ name, value, origin: { level: "built-in" } }));
  return [...said, ...unsaid].sort((a, b) => (a.name < b.name ? -1 : 1));
}
