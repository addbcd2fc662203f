import test from "ava";
import { type PlanInput, planFleet } from "../../controller/plan/diff.ts";
import { changing, type Desired, destructive, keyOf } from "../../controller/plan/model.ts";
import type { Observed } from "../../shared/container.ts";
import { carryOut, desired, observed, type SpecWords } from "./fleets.ts";
import { type Random, random } from "./random.ts";

/*
 * What holds for every plan, whatever is wanted and whatever is there: 3,000 random fleets. A failing seed
 * is in the message of its assertion; `fleetOf(random(seed))` makes it again.
 */

const seeds = Array.from({ length: 3_000 }, (_, index) => index + 1);
const hostNames = ["pve1", "pve2", "pve3"];
const ids = ["a", "b", "c", "d-1", "d-2", "d-3", "e"];

const nameOf = (id: string): string => id.replace(/-\d+$/, "");

function fleetOf(chance: Random): PlanInput {
  const specs: SpecWords[] = [
    {},
    { command: ["/bin/new"] },
    { labels: { a: "b" } },
    { resources: { pids: 5 } },
  ];
  const wanted = new Map<string, Desired>();
  const dependencies = new Map<string, string[]>();
  for (const [index, id] of ids.entries()) {
    if (chance.chance(0.3)) continue;
    const mode = id === "e" ? "global" : "replicated";
    const on = mode === "global" ? hostNames.filter(() => chance.chance(0.6)) : [chance.pick(hostNames)];
    const name = nameOf(id);
    const earlier = new Set(ids.slice(0, index).map(nameOf));
    earlier.delete(name);
    // All replicas of a key have its dependencies.
    const dependsOn = dependencies.get(name) ?? [...earlier].filter(() => chance.chance(0.2));
    dependencies.set(name, dependsOn);
    for (const host of on) {
      const one = desired(`${id}@${host}`, {
        mode,
        spec: chance.pick(specs),
        dependsOn,
        protect: chance.chance(0.1),
      });
      wanted.set(keyOf(one), one);
    }
  }
  const unreachable = new Set(hostNames.filter(() => chance.chance(0.1)));
  const there = hostNames
    .filter((host) => !unreachable.has(host))
    .map((host): [string, Observed[]] => [
      host,
      ids.flatMap((id) => (chance.chance(0.5) ? [found(id, chance)] : [])),
    ]);
  return {
    fleet: "shop",
    desired: chance.shuffled([...wanted.values()]),
    observed: new Map(chance.shuffled(there)),
    unreachable,
    prune: chance.chance(0.5),
  };
}

function found(id: string, chance: Random): Observed {
  return observed(id, {
    fleet: chance.pick(["shop", "shop", "shop", "other", null]),
    status: chance.pick(["running", "running", "stopped", "created", "creating"]),
    spec: chance.pick([{}, { command: ["/bin/new"] }, { labels: { a: "b" } }, null]),
  });
}

function forEachFleet(check: (input: PlanInput, seed: number) => void): void {
  for (const seed of seeds) check(fleetOf(random(seed)), seed);
}

const owned = (there: PlanInput["observed"]): Map<string, Observed> =>
  new Map(
    [...there].flatMap(([host, list]) => list.map((one) => [keyOf({ host, id: one.id }), one] as const)),
  );

test("a plan once carried out leaves nothing to do, and everything wanted runs as wanted", (t) => {
  let changes = 0;
  forEachFleet((input, seed) => {
    const plan = planFleet(input);
    const after = carryOut(plan, input.observed);
    const again = planFleet({ ...input, observed: after });
    const left = again.changes.filter(({ kind }) => changing.has(kind)).map(keyOf);
    if (left.length > 0) t.deepEqual(left, [], `seed ${seed}`);
    changes += plan.changes.filter(({ kind }) => changing.has(kind)).length;
    const now = owned(after);
    const refused = new Set(plan.refused.map(keyOf));
    for (const one of input.desired.filter(({ host }) => input.observed.has(host)))
      if (!refused.has(keyOf(one))) {
        const container = now.get(keyOf(one));
        if (container?.state.status !== "running") t.fail(`seed ${seed}: ${keyOf(one)} does not run`);
        t.deepEqual(container?.spec, one.spec, `seed ${seed}`);
      }
  });
  t.true(changes > 10_000, "the fleets are varied enough to mean something");
});

test("what is not ours is never touched", (t) => {
  forEachFleet((input, seed) => {
    const before = owned(input.observed);
    for (const change of planFleet(input).changes) {
      const there = before.get(keyOf(change));
      if (there !== undefined && there.fleet !== "shop")
        t.fail(`seed ${seed}: ${change.kind} ${keyOf(change)}`);
    }
  });
  t.pass();
});

test("without prune only the old one of a move is deleted, and each wanted one still has its new one", (t) => {
  let moves = 0;
  forEachFleet((input, seed) => {
    const plan = planFleet({ ...input, prune: false });
    for (const { kind, id, host } of plan.changes) {
      if (kind !== "delete") continue;
      moves += 1;
      const home = plan.changes.find(
        (other) => other.id === id && other.host !== host && other.kind !== "delete",
      );
      if (home === undefined) t.fail(`seed ${seed}: ${id}@${host} would be gone`);
    }
  });
  t.true(moves > 100);
});

test("nothing protected is destroyed without the plan saying so", (t) => {
  forEachFleet((input, seed) => {
    const guarded = new Set(input.desired.filter(({ protect }) => protect).map(({ id }) => String(id)));
    for (const change of planFleet({ ...input, prune: false }).changes)
      if (destructive.has(change.kind) && change.name !== undefined && guarded.has(change.id))
        if (
          change.protect !== true &&
          input.desired.some((one) => one.protect && keyOf(one) === keyOf(change))
        )
          t.fail(`seed ${seed}: ${keyOf(change)}`);
  });
  t.pass();
});

test("the same input gives the same plan, in whatever order it comes", (t) => {
  forEachFleet((input, seed) => {
    const chance = random(seed + 1_000_000);
    const shuffled = {
      ...input,
      desired: chance.shuffled(input.desired),
      observed: new Map(
        chance.shuffled([...input.observed]).map(([host, list]) => [host, chance.shuffled(list)]),
      ),
    };
    if (JSON.stringify(planFleet(input)) !== JSON.stringify(planFleet(shuffled))) t.fail(`seed ${seed}`);
  });
  t.pass();
});

test("a change waits only for changes of the plan and what nobody can see, and for all of what it depends on", (t) => {
  forEachFleet((input, seed) => {
    const { changes } = planFleet(input);
    const real = new Map(
      changes.filter(({ kind }) => changing.has(kind)).map((change) => [keyOf(change), change]),
    );
    const dependsOn = new Map(input.desired.map((one) => [keyOf(one), one.dependsOn]));
    const unseen = new Set(input.desired.filter(({ host }) => input.unreachable.has(host)).map(keyOf));
    for (const change of changes) {
      for (const key of change.after)
        if (!real.has(key) && !unseen.has(key)) t.fail(`seed ${seed}: ${keyOf(change)} waits for ${key}`);
      if (change.kind === "keep" || change.kind === "delete") continue;
      for (const other of real.values())
        if (other.kind !== "delete" && dependsOn.get(keyOf(change))?.includes(other.name ?? ""))
          if (!change.after.includes(keyOf(other)))
            t.fail(`seed ${seed}: ${keyOf(change)} before ${keyOf(other)}`);
    }
  });
  t.pass();
});
