import test from "ava";
import type { PlannedChange } from "../../controller/plan/model.ts";
import { errorText, lineOf } from "../../controller/report/lines.ts";
import { draw, emptyLiveState, fold } from "../../controller/report/live.ts";
import { printable } from "../../controller/report/printable.ts";
import { resultsText } from "../../controller/report/results.ts";
import { statusText } from "../../controller/report/status.ts";
import { NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";

// A cleared screen, a new title, what a C1 terminal takes for ESC [, and an overwritten line.
const evil = "\u001b[2J\u001b]0;mine\u0007\u009b31m\rgone";
const shown = "\\u001b[2J\\u001b]0;mine\\u0007\\u009b31m\\u000dgone";
const error = new NexcageError("AGENT_LOST", evil, { hint: evil, details: { lastLines: [`a\tb${evil}`] } });
const change: PlannedChange = {
  kind: "create",
  host: "pve1",
  id: ContainerId.parse("web"),
  reason: "is not there",
  fields: [],
  after: [],
};

const operationId = OperationId.parse("00000000-0000-4000-8000-000000000000");

test("what a host or a container says steers no terminal: it is escaped in an error, its lines stay lines", (t) =>
  t.is(errorText(error), `${shown}\n  | a\tb${shown}\n  hint: ${shown}`));

test("it is escaped in progress lines and in the live view", (t) => {
  const line = (event: Parameters<typeof lineOf>[0]) => lineOf(event, { verbose: true });
  t.is(line({ kind: "host.log", host: "pve1", line: evil }), `pve1| ${shown}`);
  t.is(line({ kind: "host.lost", host: "pve1", error }), `pve1: lost, trying again: ${shown}`);
  t.is(line({ kind: "change.step", change, operationId, step: evil }), `web@pve1: creating: ${shown}`);
  const state = emptyLiveState();
  fold(state, { kind: "change.started", change, operationId }, 0);
  fold(state, { kind: "change.step", change, operationId, step: evil }, 0);
  t.is(draw(state, { nowMs: 0, rows: 10 }).split("\n")[0], `  web@pve1  create: ${shown}  0ms`);
});

test("it is escaped in the tables of results and of status", (t) => {
  const unreachable = new Map([["pve2", error]]);
  const results = resultsText(
    {
      changes: [
        { kind: "failed", change, error, durationMs: 1 },
        { kind: "skipped", change: { ...change, host: "pve2" }, reason: evil },
      ],
      unreachable,
      interrupted: false,
    },
    { color: false },
  );
  const status = statusText([], { now: new Date(0), color: false, unreachable });
  for (const text of [results, status]) {
    t.true(text.includes(shown));
    t.notRegex(text, /(?![\n\t])\p{Cc}/u);
  }
});

test("on GitHub it steers no runner: what would be a command is broken, and reads the same", (t) => {
  const shown = printable("  ::error::x\n| ##[add-mask]y\na :: b", { onGitHub: true });
  t.is(shown, "  :\u200b:error::x\n| ##\u200b[add-mask]y\na :: b");
  t.is(printable("::error::x", { onGitHub: false }), "::error::x");
});
