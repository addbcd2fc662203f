import { isDeepStrictEqual } from "node:util";
import type { Observed } from "../../shared/container.ts";
import { changedFields, dearest } from "../../shared/costs.ts";
import type { Selectable } from "../inventory/select.ts";
import { describeExit } from "./exit.ts";
import { wordOf } from "./fields.ts";
import { changing, type Desired, keyOf, type Noted, type Plan, type PlannedChange } from "./model.ts";

export type PlanInput = {
  /** The fleet's name, which marks what is its own on the hosts. */
  fleet: string;
  desired: readonly Desired[];
  /** What there is on each host that answered. */
  observed: ReadonlyMap<string, readonly Observed[]>;
  /** Hosts that did not: nothing is planned there. */
  unreachable: ReadonlySet<string>;
  /** Delete what is the fleet's own and not wanted any more. */
  prune: boolean;
  /** Leaves out of the plan what it does not select. */
  selection?: ((container: Selectable) => boolean) | undefined;
};

/**
 * What turns what is there into what is wanted. Only what carries this fleet's mark is ever changed or
 * deleted. Pure: the same input gives the same plan.
 */
export function planFleet(input: PlanInput): Plan {
  const { fleet, prune, selection = () => true } = input;
  const found = new Map(
    [...input.observed].flatMap(([host, containers]) =>
      containers.map((container) => [keyOf({ host, id: container.id }), { host, container }] as const),
    ),
  );
  const wanted = new Set(input.desired.map(keyOf));
  const reached = input.desired.filter((desired) => input.observed.has(desired.host) && selection(desired));
  const unwanted = [...found.values()]
    .filter(
      ({ host, container }) => container.fleet === fleet && !wanted.has(keyOf({ host, id: container.id })),
    )
    .sort((a, b) => byHostThenId({ host: a.host, id: a.container.id }, { host: b.host, id: b.container.id }));
  const homes = new Map(
    input.desired.filter(({ mode }) => mode === "replicated").map((one) => [one.id, one]),
  );
  const leaving = new Map(unwanted.map(({ host, container }) => [container.id, host]));

  const changes = new Map<string, PlannedChange>();
  const refused: Noted[] = [];
  for (const desired of reached) {
    const there = found.get(keyOf(desired))?.container;
    if (there !== undefined && there.fleet !== fleet) refused.push(refusal(desired, there));
    else {
      const from = desired.mode === "replicated" ? leaving.get(desired.id) : undefined;
      changes.set(keyOf(desired), changeFor(desired, there, { from }));
    }
  }
  const orphans: Noted[] = [];
  for (const { host, container } of unwanted) {
    const key = keyOf({ host, id: container.id });
    const home = homes.get(container.id);
    if (home !== undefined) {
      if (!selection(home) && !selection({ ...home, host })) continue;
      const arrival = changes.get(keyOf(home));
      if (arrival === undefined)
        orphans.push({ host, id: container.id, reason: `moves to ${home.host}, once it can be made there` });
      else changes.set(key, departure(home, { host, arrival }));
    } else if (selection({ host, id: container.id })) {
      if (prune) changes.set(key, { ...bare(container, host), kind: "delete", reason: "left the fleet" });
      else orphans.push({ host, id: container.id, reason: "left the fleet" });
    }
  }
  return {
    fleet,
    changes: orderByDependencies([...changes.values()], input.desired).sort(byHostThenId),
    refused: refused.sort(byHostThenId),
    orphans: orphans.sort(byHostThenId),
    unreachable: countUnreachable(input),
  };
}

/** What one wanted container needs, given what is there under its id; `from` is the host that it leaves. */
function changeFor(
  desired: Desired,
  there: Observed | undefined,
  { from }: { from: string | undefined },
): PlannedChange {
  const { name, spec, placement, place, protect } = desired;
  const change = { ...bare(desired, desired.host), name, placement, place };
  if (there === undefined) {
    const reason = from === undefined ? "is not there" : `moves here from ${from}`;
    return { ...change, kind: "create", reason, spec };
  }
  if (there.spec === undefined)
    return {
      ...change,
      kind: "replace",
      reason: "nobody knows what it was made from",
      cost: "recreate",
      spec,
      ...(protect && { protect }),
    };
  const idle = idleReason(there);
  const fields = isDeepStrictEqual(there.spec, spec) ? [] : changedFields(there.spec, spec);
  const cost = dearest(fields);
  if (cost === undefined) {
    if (there.state.status === "creating")
      return { ...change, kind: "replace", reason: "was never finished", cost: "recreate", spec };
    if (idle !== undefined) return { ...change, kind: "start", reason: idle };
    return {
      ...change,
      kind: "keep",
      reason: there.state.status === "paused" ? "is paused" : "is as wanted",
    };
  }
  const reason = `${listed(fields.map(wordOf))} changed`;
  if (cost === "recreate")
    return { ...change, kind: "replace", reason, fields, cost, spec, ...(protect && { protect }) };
  if (idle === undefined) return { ...change, kind: "update", reason, fields, cost, spec };
  return { ...change, kind: "update", reason: `${reason}, and ${idle}`, fields, cost, spec, start: true };
}

/** The old one of a container that moves: deleted once the new one has started, also without `prune`. */
function departure(
  home: Desired,
  { host, arrival }: { host: string; arrival: PlannedChange },
): PlannedChange {
  return {
    ...bare(home, host),
    kind: "delete",
    name: home.name,
    reason: `moves to ${home.host}`,
    place: home.place,
    after: changing.has(arrival.kind) ? [keyOf(home)] : [],
    ...(home.protect && { protect: true }),
  };
}

function refusal({ id, host, place }: Desired, { fleet }: Observed): Noted {
  const owner = fleet === undefined ? "belongs to no fleet" : `belongs to fleet "${fleet}"`;
  return { id, host, reason: `what is there ${owner}`, place };
}

function bare(
  { id }: Pick<PlannedChange, "id">,
  host: string,
): Pick<PlannedChange, "id" | "host" | "fields" | "after"> {
  return { id, host, fields: [], after: [] };
}

/** Why it must be started; undefined when it runs. */
function idleReason({ state, exit }: Observed): string | undefined {
  if (state.status === "stopped") return `is stopped (${describeExit(exit)})`;
  return state.status === "created" ? "was made and never started" : undefined;
}

/** Lets each change wait for those of the containers that it depends on: of all their replicas. */
function orderByDependencies(changes: PlannedChange[], desired: readonly Desired[]): PlannedChange[] {
  const dependsOn = new Map(desired.map((one) => [one.name, one.dependsOn]));
  const byName = Map.groupBy(
    changes.filter(({ kind }) => changing.has(kind) && kind !== "delete"),
    ({ name }) => name,
  );
  // One list for all replicas: a thousand that wait for a thousand are not a million.
  const keysOf = new Map(
    [...dependsOn].map(([name, dependencies]) => [
      name,
      dependencies.flatMap((dependency) => (byName.get(dependency) ?? []).map(keyOf)).sort(),
    ]),
  );
  return changes.map((change) => {
    if (change.name === undefined || change.kind === "keep" || change.kind === "delete") return change;
    return { ...change, after: keysOf.get(change.name) ?? [] };
  });
}

function countUnreachable({ desired, unreachable, selection = () => true }: PlanInput): Plan["unreachable"] {
  const missing = desired.filter((one) => unreachable.has(one.host) && selection(one));
  return [...Map.groupBy(missing, ({ host }) => host)]
    .map(([host, containers]) => ({ host, containers: containers.length }))
    .sort((a, b) => (a.host < b.host ? -1 : 1));
}

/** `a`, `a and b`, `a, b and 3 more` */
function listed(words: string[]): string {
  if (words.length <= 2) return words.join(" and ");
  if (words.length === 3) return `${words[0]}, ${words[1]} and ${words[2]}`;
  return `${words[0]}, ${words[1]} and ${words.length - 2} more`;
}

function byHostThenId(a: { host: string; id: string }, b: { host: string; id: string }): number {
  if (a.host !== b.host) return a.host < b.host ? -1 : 1;
  return a.id < b.id ? -1 : 1; // not localeCompare: a plan must not depend on LANG
}
