import { isDeepStrictEqual } from "node:util";
import type { Observed } from "../../shared/container.ts";
import { changedFields, dearest } from "../../shared/costs.ts";
import { withDrift } from "../../shared/drift.ts";
import { downloadOf, type ProxmoxNode, templateOf } from "../../shared/proxmox-node.ts";
import { volumesOf } from "../../shared/spec.ts";
import type { Selection } from "../inventory/select.ts";
import { describeExit } from "./exit.ts";
import { wordOf } from "./fields.ts";
import {
  changing,
  type Desired,
  keyOf,
  type Noted,
  type Plan,
  type PlannedChange,
  type Refused,
} from "./model.ts";
import { refusalOfChange, refusalOfId, refusalOfLacks } from "./refusals.ts";

export type PlanInput = {
  /** The fleet's name, which marks what is its own on the hosts. */
  fleet: string;
  /** What is wanted; with a selection, of what is selected. */
  desired: readonly Desired[];
  /** What there is on each host that answered. */
  observed: ReadonlyMap<string, readonly Observed[]>;
  /** What the hosts with Proxmox have; nothing is looked up where it is not known. */
  nodes?: ReadonlyMap<string, ProxmoxNode> | undefined;
  /** Hosts that did not answer: nothing is planned there. */
  unreachable: ReadonlySet<string>;
  /** Delete what is the fleet's own and not wanted any more. */
  prune: boolean;
  /** What is not selected is left as it is; none: everything is selected. */
  selection?: Pick<Selection, "matches" | "fleetWide"> | undefined;
};

/**
 * What turns what is there into what is wanted. Only what carries this fleet's mark is ever changed or
 * deleted. Pure: the same input gives the same plan.
 */
export function planFleet(input: PlanInput): Plan {
  const { fleet } = input;
  const isSelected = (one: { host: string; id: string }): boolean => input.selection?.matches(one) ?? true;
  const desired = input.desired.filter(isSelected);
  // Selected or not: what is wanted on another host has not left the fleet.
  const fleetWide = input.selection?.fleetWide ?? input.desired;
  const leftovers = findLeftovers(input, new Set(fleetWide.map(keyOf)));

  const { changes, refused } = planWanted(desired, { ...input, leftovers });
  const removals = planLeftovers(leftovers, { changes, fleetWide, isSelected, prune: input.prune });
  const unreachable = Map.groupBy(
    desired.filter(({ host }) => input.unreachable.has(host)),
    ({ host }) => host,
  );
  return {
    fleet,
    changes: [...orderByDependencies(changes, input), ...removals.changes].sort(byHostThenId),
    refused: refused.sort(byHostThenId),
    orphans: removals.orphans.sort(byHostThenId),
    unreachable: [...unreachable]
      .map(([host, containers]) => ({ host, containers: containers.length }))
      .sort((a, b) => (a.host < b.host ? -1 : 1)),
  };
}

/** Ours, on a host where it is not wanted. */
type Leftover = Pick<Observed, "id"> & { host: string; lost: string[] };

function findLeftovers({ fleet, observed }: PlanInput, wanted: ReadonlySet<string>): Leftover[] {
  return [...observed]
    .flatMap(([host, containers]) =>
      containers
        .filter(({ id, fleet: owner }) => owner === fleet && !wanted.has(keyOf({ id, host })))
        .map(({ id, spec }) => ({ id, host, lost: volumesOf(spec ?? {}).map(({ name }) => name) })),
    )
    .sort(byHostThenId);
}

/** What each wanted container needs, on the hosts that answered. */
function planWanted(
  desired: readonly Desired[],
  {
    fleet,
    observed,
    nodes,
    leftovers,
  }: Pick<PlanInput, "fleet" | "observed" | "nodes"> & { leftovers: Leftover[] },
): Pick<Plan, "changes" | "refused"> {
  const found = new Map(
    [...observed].map(([host, list]) => [host, new Map(list.map((one) => [one.id, one]))]),
  );
  const leaving = new Map(leftovers.map(({ id, host }) => [id, host]));
  const changes: PlannedChange[] = [];
  const refused: Refused[] = [];
  for (const one of desired) {
    const there = found.get(one.host);
    if (there === undefined) continue;
    const container = there.get(one.id);
    const from = one.mode === "global" ? undefined : leaving.get(one.id);
    const change = changeFor(one, container, { from });
    const node = nodes?.get(one.host);
    const refusal =
      refusalOfId(one, container, { fleet }) ??
      refusalOfChange(change, container) ??
      refusalOfLacks(change, node);
    if (refusal === undefined) changes.push(withTemplate(change, node));
    else refused.push(refusal);
  }
  return { changes, refused };
}

/** What one wanted container needs, given what is there under its id; `from` is a host that it leaves. */
function changeFor(
  { id, host, name, spec, placement, place, protect, snapshot = "none" }: Desired,
  there: Observed | undefined,
  { from }: { from: string | undefined },
): PlannedChange {
  const change = { id, host, name, placement, place, fields: [], after: [] };
  const replace = {
    ...change,
    kind: "replace",
    cost: "recreate",
    spec,
    ...(protect && { protect }),
  } as const;
  if (there === undefined) {
    const reason = from === undefined ? "is not there" : `moves here from ${from}`;
    return { ...change, kind: "create", reason, spec };
  }
  if (there.state.status === "creating") return { ...replace, reason: "was never finished" };
  if (there.spec === undefined) return { ...replace, reason: "nobody knows what it was made from" };

  const idle = idleReason(there);
  const { drift = [] } = there;
  const isWanted = isDeepStrictEqual(there.spec, spec);
  const seen = changedFields(withDrift(there.spec, drift), spec);
  // What is so already, by hand, is still to be written down as wanted.
  const fields = isWanted || seen.length > 0 ? seen : changedFields(there.spec, spec);
  const cost = dearest(fields);
  if (cost === undefined) {
    if (idle !== undefined) return { ...change, kind: "start", reason: idle };
    return {
      ...change,
      kind: "keep",
      reason: there.state.status === "paused" ? "is paused" : "is as wanted",
    };
  }
  const reason = `${listed(fields.map(wordOf))} ${isWanted ? "changed by hand" : "changed"}`;
  const resumed =
    there.state.status === "paused" ? `${reason}, and it is paused: afterwards it runs` : reason;
  if (cost === "recreate") return { ...replace, reason: resumed, fields };
  const before = snapshot === "none" || spec.runtime !== "lxc" ? {} : { snapshot };
  const update = { ...change, ...before, kind: "update", fields, spec } as const;
  if (idle === undefined) return { ...update, reason: cost === "restart" ? resumed : reason, cost };
  return { ...update, reason: `${reason}, and it ${idle}`, start: true };
}

/** Says which template the host has under the name that the fleet gives. */
function withTemplate(change: PlannedChange, node: ProxmoxNode | undefined): PlannedChange {
  const { kind, spec } = change;
  if (node === undefined || spec === undefined || kind === "update") return change;
  const template = templateOf(spec, node);
  const downloads = downloadOf(spec, node);
  return {
    ...change,
    ...(template !== undefined && { template }),
    ...(downloads !== undefined && { downloads }),
  };
}

/** Why it must be started; undefined when it runs. */
function idleReason({ state, exit }: Observed): string | undefined {
  if (state.status === "stopped") return `is stopped (${describeExit(exit)})`;
  return state.status === "created" ? "was made and never started" : undefined;
}

/**
 * What becomes of leftovers. One that moves is deleted once its new one has started, also without `prune`;
 * while that cannot be made, it stays.
 */
function planLeftovers(
  leftovers: Leftover[],
  options: {
    changes: PlannedChange[];
    fleetWide: readonly Pick<Desired, "id" | "host" | "mode" | "name" | "protect" | "place">[];
    isSelected: (one: { host: string; id: string }) => boolean;
    prune: boolean;
  },
): { changes: PlannedChange[]; orphans: Noted[] } {
  const { fleetWide, isSelected, prune } = options;
  const homes = new Map(fleetWide.filter(({ mode }) => mode === "replicated").map((one) => [one.id, one]));
  const arrivals = new Map(options.changes.map((change) => [keyOf(change), change]));
  const changes: PlannedChange[] = [];
  const orphans: Noted[] = [];
  for (const { id, host, lost } of leftovers) {
    const home = homes.get(id);
    if (!isSelected({ id, host }) && !(home && isSelected(home))) continue;
    const arrival = home && arrivals.get(keyOf(home));
    const removal = {
      ...({ id, host, kind: "delete", fields: [], after: [] } as const),
      ...(lost.length > 0 && { lost }),
    };
    if (home === undefined) {
      if (prune) changes.push({ ...removal, reason: "left the fleet" });
      else orphans.push({ id, host, reason: "left the fleet" });
    } else if (arrival === undefined)
      orphans.push({ id, host, reason: `moves to ${home.host}, once it can be made there` });
    else
      changes.push({
        ...removal,
        name: home.name,
        reason: `moves to ${home.host}`,
        place: home.place,
        after: changing.has(arrival.kind) ? [keyOf(home)] : [],
        ...(home.protect && { protect: true }),
      });
  }
  return { changes, orphans };
}

/**
 * Lets each change wait for those of the containers that it depends on: of all their replicas. One whose hosts
 * were all unreachable is waited for too: it cannot be known to run, and nothing that needs it is begun.
 */
function orderByDependencies(
  changes: PlannedChange[],
  { desired, unreachable }: Pick<PlanInput, "desired" | "unreachable">,
): PlannedChange[] {
  const byName = Map.groupBy<string | undefined, { id: string; host: string; name?: string | undefined }>(
    changes.filter(({ kind }) => changing.has(kind)),
    ({ name }) => name,
  );
  for (const [name, replicas] of Map.groupBy(desired, ({ name }) => name))
    if (replicas.every(({ host }) => unreachable.has(host))) byName.set(name, replicas);
  // One list for all replicas: a thousand that wait for a thousand are not a million.
  const dependencies = new Map(desired.map(({ name, dependsOn }) => [name, dependsOn]));
  const after = new Map(
    [...dependencies].map(([name, dependsOn]) => [
      name,
      dependsOn.flatMap((dependency) => (byName.get(dependency) ?? []).map(keyOf)).sort(),
    ]),
  );
  return changes.map((change) => {
    if (change.name === undefined || change.kind === "keep") return change;
    return { ...change, after: after.get(change.name) ?? [] };
  });
}

/** `a`, `a and b`, `a, b and c`, `a, b and 3 more` */
function listed(words: string[]): string {
  if (words.length > 3) return `${words.slice(0, 2).join(", ")} and ${words.length - 2} more`;
  return [words.slice(0, -1).join(", "), ...words.slice(-1)].filter((part) => part !== "").join(" and ");
}

function byHostThenId(a: { host: string; id: string }, b: { host: string; id: string }): number {
  if (a.host !== b.host) return a.host < b.host ? -1 : 1;
  return a.id < b.id ? -1 : 1; // not localeCompare: a plan must not depend on LANG
}
