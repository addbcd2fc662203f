import test from "ava";
import type { PlannedChange } from "../../controller/plan/model.ts";
import type { Timed } from "../../controller/report/run.ts";
import { timeline } from "../../controller/report/timeline.ts";
import { NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";

const operationId = OperationId.parse("00000000-0000-4000-8000-000000000000");

function change(id: string, after: string[] = []): PlannedChange {
  return {
    kind: "create",
    host: "pve1",
    id: ContainerId.parse(id),
    reason: "is not there",
    fields: [],
    after,
  };
}

const started = (atMs: number, about: PlannedChange): Timed => ({
  atMs,
  event: { kind: "change.started", change: about, operationId },
});
const done = (atMs: number, about: PlannedChange): Timed => ({
  atMs,
  event: { kind: "change.done", change: about, operationId, container: undefined, durationMs: 0 },
});

test("what waited for another names it, from when it could have begun", (t) => {
  const [db, cache, web] = [change("db"), change("cache"), change("web", ["db@pve1", "cache@pve1"])];
  const spans = timeline([
    started(100, db),
    started(101, cache),
    done(200, cache),
    done(400, db),
    started(401, web),
    done(500, web),
  ]);
  t.deepEqual(
    spans.map(({ label, startMs, endMs, waitedFor }) => [label, startMs, endMs, waitedFor]),
    [
      ["db@pve1: create", 100, 400, undefined],
      ["cache@pve1: create", 101, 200, undefined],
      ["web@pve1: create", 401, 500, "db@pve1"],
    ],
  );
  t.is(spans[2]?.readyMs, 100);
});

test("what waited for nothing of the plan waited for a place on its host", (t) => {
  const spans = timeline([started(0, change("a")), done(90, change("a")), started(91, change("b"))]);
  t.like(spans[1], { waitedFor: "a free place on pve1", result: "running", endMs: 91 });
});

test("what ended right after its start failed, and took no longer than its start", (t) => {
  const error = new NexcageError("CONTAINER_EXITED", "it ended");
  const spans = timeline([
    started(0, change("a")),
    done(50, change("a")),
    { atMs: 400, event: { kind: "change.failed", change: change("a"), error, durationMs: 50 } },
  ]);
  t.like(spans[0], { result: "failed", endMs: 50 });
});
