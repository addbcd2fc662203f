import test from "ava";
import { type PlanInput, planFleet } from "../../controller/plan/diff.ts";
import { type Desired, keyOf } from "../../controller/plan/model.ts";
import type { Observed } from "../../shared/container.ts";
import { desired, hosts, lines, observed } from "./fleets.ts";

function plan(input: Partial<PlanInput>) {
  return planFleet({
    fleet: "shop",
    desired: [],
    observed: hosts({ pve1: [] }),
    unreachable: new Set(),
    prune: false,
    ...input,
  });
}

const lxc = { runtime: "lxc", source: { kind: "template", volume: "debian-13" } } as const;

const cases: { title: string; wanted: Desired[]; there: Record<string, Observed[]>; plan: string[] }[] = [
  {
    title: "what is not there is created",
    wanted: [desired("web@pve1")],
    there: { pve1: [] },
    plan: ["create web@pve1: is not there"],
  },
  {
    title: "what is there as wanted is kept",
    wanted: [desired("web@pve1")],
    there: { pve1: [observed("web")] },
    plan: ["keep web@pve1: is as wanted"],
  },
  {
    title: "what changed in a way that a living container cannot is replaced, even stopped",
    wanted: [desired("web@pve1", { spec: { command: ["/bin/new"], user: "app" } })],
    there: { pve1: [observed("web", { status: "stopped" })] },
    plan: ["replace web@pve1: command and user changed"],
  },
  {
    title: "what can change hot is updated",
    wanted: [
      desired("web@pve1", { spec: { resources: { memoryBytes: 2, cpus: 1, pids: 1 }, labels: { a: "b" } } }),
    ],
    there: { pve1: [observed("web")] },
    plan: ["update web@pve1: resources.cpus, resources.memory and 2 more changed"],
  },
  {
    title: "what can change hot and does not run is updated and started",
    wanted: [desired("web@pve1", { spec: { resources: { pids: 1 } } })],
    there: {
      pve1: [
        observed("web", { status: "stopped", exit: { exitCode: 3, finishedAt: "2026-01-01T00:00:00Z" } }),
      ],
    },
    plan: ["update web@pve1: resources.pids changed, and it is stopped (exit code 3)"],
  },
  {
    title: "what ended is started, with how it ended, also after exit code 0",
    wanted: [desired("a@pve1"), desired("b@pve1"), desired("c@pve1"), desired("d@pve1")],
    there: {
      pve1: [
        observed("a", { status: "stopped", exit: { exitCode: 0, finishedAt: "2026-01-01T00:00:00Z" } }),
        observed("b", {
          status: "stopped",
          exit: { signal: 9, oomKilled: true, finishedAt: "2026-01-01T00:00:00Z" },
        }),
        observed("c", { status: "stopped" }),
        observed("d", { status: "created" }),
      ],
    },
    plan: [
      "start a@pve1: is stopped (exit code 0)",
      "start b@pve1: is stopped (signal 9, out of memory)",
      "start c@pve1: is stopped (nobody saw how)",
      "start d@pve1: was made and never started",
    ],
  },
  {
    title: "what is paused stays paused",
    wanted: [desired("web@pve1")],
    there: { pve1: [observed("web", { status: "paused" })] },
    plan: ["keep web@pve1: is paused"],
  },
  {
    title:
      "what is paused stays so when it changes in place, and a change that ends it says that it runs afterwards",
    wanted: [
      desired("hot@pve1", { spec: { ...lxc, resources: { cpus: 2 } } }),
      desired("new@pve1", { spec: { ...lxc, readOnly: true } }),
      desired("restart@pve1", { spec: { ...lxc, hostname: "x" } }),
    ],
    there: { pve1: ["hot", "new", "restart"].map((id) => observed(id, { status: "paused", spec: lxc })) },
    plan: [
      "update hot@pve1: resources.cpus changed",
      "replace new@pve1: read_only changed, and it is paused: afterwards it runs",
      "update restart@pve1: hostname changed, and it is paused: afterwards it runs",
    ],
  },
  {
    title: "what was never finished, or made from nobody knows what, is replaced",
    wanted: [desired("a@pve1"), desired("b@pve1")],
    there: { pve1: [observed("a", { status: "creating" }), observed("b", { spec: null })] },
    plan: ["replace a@pve1: was never finished", "replace b@pve1: nobody knows what it was made from"],
  },
  {
    title: "a plan is sorted by host, then id, whatever the order of what goes in",
    wanted: [desired("b@pve2"), desired("a@pve2"), desired("c@pve1")],
    there: { pve2: [], pve1: [] },
    plan: ["create c@pve1: is not there", "create a@pve2: is not there", "create b@pve2: is not there"],
  },
  {
    title: "what moves is created on its new host and deleted on the old one, also without prune",
    wanted: [desired("web@pve2")],
    there: { pve1: [observed("web")], pve2: [] },
    plan: ["delete web@pve1: moves to pve2", "create web@pve2: moves here from pve1"],
  },
  {
    title: "the old one of a move that was cut off is deleted by the next plan",
    wanted: [desired("web@pve2")],
    there: { pve1: [observed("web")], pve2: [observed("web")] },
    plan: ["delete web@pve1: moves to pve2", "keep web@pve2: is as wanted"],
  },
];
for (const { title, wanted, there, plan: expected } of cases)
  test(title, (t) => t.deepEqual(lines(plan({ desired: wanted, observed: hosts(there) })), expected));

test("replace and update say each field's old and new value, and what it costs", (t) => {
  const { changes } = plan({
    desired: [desired("web@pve1", { spec: { command: ["/bin/new"], resources: { memoryBytes: 2 } } })],
    observed: hosts({ pve1: [observed("web", { spec: { resources: { memoryBytes: 1 } } })] }),
  });
  t.like(changes[0], {
    cost: "recreate",
    fields: [
      { field: "command", old: ["/bin/app"], new: ["/bin/new"], cost: "recreate" },
      { field: "resources.memoryBytes", old: 1, new: 2, cost: "hot" },
    ],
  });
});

test("the old one of a move is deleted only after the new one has started", (t) => {
  const { changes } = plan({
    desired: [desired("web@pve2")],
    observed: hosts({ pve1: [observed("web")], pve2: [] }),
  });
  t.deepEqual(
    changes.map(({ kind, after }) => [kind, after]),
    [
      ["delete", ["web@pve2"]],
      ["create", []],
    ],
  );
});

test("the old one of a move stays where it is while its new host cannot be reached", (t) => {
  const result = plan({
    desired: [desired("web@pve2")],
    observed: hosts({ pve1: [observed("web")] }),
    unreachable: new Set(["pve2"]),
    prune: true,
  });
  t.deepEqual(result.changes, []);
  t.like(result.orphans, [{ host: "pve1", id: "web", reason: "moves to pve2, once it can be made there" }]);
  t.deepEqual(result.unreachable, [{ host: "pve2", containers: 1 }]);
});

test("what belongs to somebody else is refused by name and never touched", (t) => {
  const result = plan({
    desired: [desired("a@pve1"), desired("b@pve1")],
    observed: hosts({
      pve1: [
        observed("a", { fleet: "other" }),
        observed("b", { fleet: null }),
        observed("c", { fleet: null }),
      ],
    }),
    prune: true,
  });
  t.deepEqual(result.changes, []);
  t.deepEqual(
    result.refused.map(({ id, reason }) => [id, reason]),
    [
      ["a", 'what is there belongs to fleet "other"'],
      ["b", "what is there belongs to no fleet"],
    ],
  );
});

test("what left the fleet is deleted with prune, and only named without", (t) => {
  const there = hosts({ pve1: [observed("old"), observed("theirs", { fleet: "other" })] });
  const left = plan({ observed: there });
  t.deepEqual(left.changes, []);
  t.deepEqual(left.orphans, [{ host: "pve1", id: observed("old").id, reason: "left the fleet" }]);
  const pruned = plan({ observed: there, prune: true });
  t.deepEqual(lines(pruned), ["delete old@pve1: left the fleet"]);
  t.deepEqual(pruned.orphans, []);
});

test("a global container that a host is no longer meant for is an orphan there, and not a move", (t) => {
  const result = plan({
    desired: [desired("agent@pve1", { mode: "global" })],
    observed: hosts({ pve1: [observed("agent")], pve2: [observed("agent")] }),
  });
  t.deepEqual(lines(result), ["keep agent@pve1: is as wanted"]);
  t.like(result.orphans, [{ host: "pve2", reason: "left the fleet" }]);
});

/** A selection as `select` makes it, of these ids. */
function only(ids: string[], wanted: Desired[], on = ["pve1", "pve2"]) {
  const matches = ({ id, host }: { id: string; host: string }) => ids.includes(id) && on.includes(host);
  const source = { kind: "bundle", path: "/" } as const;
  const fleetWide = wanted.map((one) => ({ ...one, spec: { ...one.spec, source } }));
  return { desired: wanted.filter(matches), selection: { matches, fleetWide } };
}

test("a selection plans for what it names, moves it, and deletes nothing else", (t) => {
  const wanted = [desired("web@pve2"), desired("db@pve1")];
  const there = {
    observed: hosts({ pve1: [observed("web"), observed("old"), observed("db")], pve2: [] }),
    prune: true,
  };
  t.deepEqual(lines(plan({ ...there, ...only(["web"], wanted) })), [
    "delete web@pve1: moves to pve2",
    "create web@pve2: moves here from pve1",
  ]);
  t.deepEqual(lines(plan({ ...there, ...only(["old"], wanted) })), ["delete old@pve1: left the fleet"]);
});

test("what is wanted on a host that is not selected is not taken for having left", (t) => {
  const result = plan({
    ...only(["web"], [desired("web@pve2")], ["pve1"]),
    observed: hosts({ pve1: [observed("web")] }),
    prune: true,
  });
  t.deepEqual(result.changes, []);
  t.like(result.orphans, [{ host: "pve1", id: "web", reason: "moves to pve2, once it can be made there" }]);
});

test("a change waits for those of all replicas of what it depends on, across hosts", (t) => {
  const { changes } = plan({
    desired: [
      desired("db-1@pve1"),
      desired("db-2@pve2"),
      desired("cache@pve1"),
      desired("web@pve2", { dependsOn: ["db", "cache"] }),
    ],
    observed: hosts({ pve1: [observed("cache")], pve2: [] }),
  });
  t.deepEqual(Object.fromEntries(changes.map((change) => [keyOf(change), change.after])), {
    "cache@pve1": [],
    "db-1@pve1": [],
    "db-2@pve2": [],
    "web@pve2": ["db-1@pve1", "db-2@pve2"],
  });
});

test("a change waits for a dependency of which nothing could be looked at, not for one that was seen in part", (t) => {
  const { changes } = plan({
    desired: [
      desired("db@pve2", { name: "db" }),
      desired("dns@pve1"),
      desired("dns@pve2"),
      desired("web@pve1", { dependsOn: ["db", "dns"] }),
    ],
    observed: hosts({ pve1: [] }),
    unreachable: new Set(["pve2"]),
  });
  t.deepEqual(changes.find(({ id }) => id === "web")?.after, ["db@pve2", "dns@pve1"]);
});
