import { nearestHint } from "../../shared/nearest.ts";
import { findCycles } from "./cycles.ts";
import type { YamlDocument } from "./documents.ts";
import type { Inventory } from "./inventory-schema.ts";
import type { Report } from "./mistakes.ts";

/** A group with the document that it stands in. */
export type Group = {
  name: string;
  value: NonNullable<Inventory["groups"]>[string];
  document: YamlDocument;
};

/** Who is in which group, `children` followed. */
export type Membership = {
  /** Of each host, every group that it is in, sorted. */
  groupsOf: ReadonlyMap<string, string[]>;
  hostsOf: ReadonlyMap<string, ReadonlySet<string>>;
  /** Whether `group` is a child of `ancestor`, at any depth. */
  isBelow(group: string, ancestor: string): boolean;
};

/** Follows the groups; what they name and nobody knows is reported, and so are groups within themselves. Pure. */
export function resolveGroups(
  groups: ReadonlyMap<string, Group>,
  { hosts, report }: { hosts: ReadonlySet<string>; report: Report },
): Membership {
  for (const group of groups.values()) reportUnknown(group, { groups, hosts, report });
  reportCycles(groups, report);

  const below = new Map<string, ReadonlySet<string>>();
  for (const name of groups.keys()) below.set(name, descendants(name, groups));
  const hostsOf = new Map<string, ReadonlySet<string>>();
  for (const name of groups.keys()) {
    const members = [name, ...(below.get(name) ?? [])].flatMap(
      (group) => groups.get(group)?.value.hosts ?? [],
    );
    hostsOf.set(name, new Set(members.filter((host) => hosts.has(host))));
  }
  const groupsOf = new Map<string, string[]>([...hosts].map((host) => [host, []]));
  for (const name of [...groups.keys()].sort())
    for (const host of hostsOf.get(name) ?? []) groupsOf.get(host)?.push(name);
  return { groupsOf, hostsOf, isBelow: (group, ancestor) => below.get(ancestor)?.has(group) ?? false };
}

function descendants(name: string, groups: ReadonlyMap<string, Group>): Set<string> {
  const found = new Set<string>();
  const open = [name];
  for (let group = open.pop(); group !== undefined; group = open.pop())
    for (const child of groups.get(group)?.value.children ?? [])
      if (!found.has(child)) {
        found.add(child);
        open.push(child);
      }
  return found;
}

function reportUnknown(
  { name, value, document }: Group,
  {
    groups,
    hosts,
    report,
  }: { groups: ReadonlyMap<string, Group>; hosts: ReadonlySet<string>; report: Report },
): void {
  if (name === "all")
    report(
      document.keyPlace(["groups", name]),
      'a group cannot be called "all"',
      "what holds for all stands under defaults",
    );
  if (hosts.has(name))
    report(document.keyPlace(["groups", name]), `"${name}" is a host too`, "give the group another name");
  for (const [index, host] of (value.hosts ?? []).entries())
    if (!hosts.has(host))
      report(
        document.valuePlace(["groups", name, "hosts", index]),
        `there is no host "${host}"`,
        groups.has(host) ? 'it is a group: name it under "children"' : nearestHint(host, hosts, "hosts"),
      );
  for (const [index, child] of (value.children ?? []).entries())
    if (!groups.has(child))
      report(
        document.valuePlace(["groups", name, "children", index]),
        `there is no group "${child}"`,
        hosts.has(child)
          ? 'it is a host: name it under "hosts"'
          : nearestHint(child, groups.keys(), "groups"),
      );
}

function reportCycles(groups: ReadonlyMap<string, Group>, report: Report): void {
  const children = new Map([...groups].map(([name, { value }]) => [name, value.children ?? []]));
  for (const cycle of findCycles(children)) {
    const [first = ""] = cycle;
    const place = groups.get(first)?.document.keyPlace(["groups", first, "children"]);
    if (place !== undefined) report(place, `a group is within itself: ${[...cycle, first].join(" → ")}`);
  }
}
