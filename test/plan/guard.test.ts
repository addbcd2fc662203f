import test from "ava";
import { planFleet } from "../../controller/plan/diff.ts";
import { requireWithinLimits } from "../../controller/plan/guard.ts";
import type { Desired } from "../../controller/plan/model.ts";
import type { Observed } from "../../shared/container.ts";
import { desired, hosts, observed } from "./fleets.ts";

const planOf = (wanted: Desired[], there: Record<string, Observed[]>, prune = false) =>
  planFleet({ fleet: "shop", desired: wanted, observed: hosts(there), unreachable: new Set(), prune });

test("a plan that would replace or move what is protected is refused as a whole, with its names", (t) => {
  const plan = planOf(
    [
      desired("db@pve1", { protect: true, spec: { command: ["/bin/new"] } }),
      desired("log@pve2", { protect: true }),
      desired("web@pve1"),
    ],
    { pve1: [observed("db"), observed("log")], pve2: [] },
  );
  const error = t.throws(() => requireWithinLimits(plan, {}), { code: "REFUSED" });
  t.is(
    error?.message,
    "db@pve1 is protected, and the plan would replace it\nlog@pve1 is protected, and the plan would delete it",
  );
});

test("what is protected may be made, started, updated and kept", (t) => {
  const plan = planOf(
    ["a", "b", "c", "d"].map((id) =>
      desired(`${id}@pve1`, { protect: true, ...(id === "c" && { spec: { labels: { a: "b" } } }) }),
    ),
    { pve1: [observed("b", { status: "stopped" }), observed("c"), observed("d")] },
  );
  t.notThrows(() => requireWithinLimits(plan, { maxDestroy: 0 }));
});

test("more than max_destroy may not be replaced or deleted; as many may", (t) => {
  const plan = planOf(
    [desired("web@pve1", { spec: { command: ["/bin/new"] } })],
    { pve1: [observed("web"), observed("old")] },
    true,
  );
  t.notThrows(() => requireWithinLimits(plan, { maxDestroy: 2 }));
  const error = t.throws(() => requireWithinLimits(plan, { maxDestroy: 1 }), { code: "REFUSED" });
  t.is(error?.message, "the plan replaces or deletes 2 containers, and max_destroy is 1");
});

test("a wanted container whose id somebody else has refuses the plan before anything is done", (t) => {
  const plan = planOf([desired("web@pve1"), desired("new@pve1")], {
    pve1: [observed("web", { fleet: "other" })],
  });
  t.throws(() => requireWithinLimits(plan, {}), {
    code: "REFUSED",
    message: 'web@pve1 cannot be made: what is there belongs to fleet "other"',
  });
});
