import { styleText } from "node:util";
import type { NexcageError } from "../../shared/errors.ts";
import { formatDuration } from "../../shared/units.ts";
import type { ChangeOutcome, FleetOutcome } from "../outcome.ts";
import { describeExit } from "../plan/exit.ts";
import { errorText } from "./lines.ts";
import { printable } from "./printable.ts";
import { textTable } from "./table.ts";

/** The end of a command over a fleet, for people: what was done to each container, then what went wrong. */
export function resultsText(outcome: FleetOutcome, { color }: { color: boolean }): string {
  const { changes, unreachable, interrupted } = outcome;
  const paint = (format: "green" | "red" | "yellow", text: string): string =>
    color ? styleText(format, text, { validateStream: false }) : text;
  const words = {
    done: paint("green", "done"),
    failed: paint("red", "failed"),
    skipped: paint("yellow", "skipped"),
  } as const;
  const rows = [...changes]
    .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
    .map((one) => [
      one.change.id,
      one.change.host,
      one.change.kind,
      words[one.kind],
      stateText(one),
      one.kind === "skipped" ? "" : formatDuration(one.durationMs),
    ]);
  const table = textTable(["CONTAINER", "HOST", "CHANGE", "RESULT", "STATE", "TOOK"], rows);
  const failures = [
    ...changes.flatMap((one) =>
      one.kind === "failed" ? [failureText(`${one.change.id}@${one.change.host}`, one.error)] : [],
    ),
    ...[...unreachable].map(([host, error]) => failureText(host, error)),
  ];
  return [table, ...failures, `${summary(outcome)}${interrupted ? " (interrupted)" : ""}\n`]
    .filter((part) => part !== "")
    .join("\n");
}

function failureText(what: string, error: NexcageError): string {
  return `${what}: ${error.code}: ${errorText(error)}\n`;
}

function sortKey({ change }: ChangeOutcome): string {
  return `${change.id}\0${change.host}`;
}

function stateText(outcome: ChangeOutcome): string {
  if (outcome.kind === "failed") return outcome.error.code;
  if (outcome.kind === "skipped") return printable(outcome.reason);
  const { container } = outcome;
  if (container === undefined) return "";
  const { status, pid } = container.state;
  if (status === "stopped") return `stopped (${describeExit(container.exit)})`;
  return pid > 0 ? `${status}, pid ${pid}` : status;
}

function summary({ changes, unreachable }: FleetOutcome): string {
  const count = (kind: ChangeOutcome["kind"]): number => changes.filter((one) => one.kind === kind).length;
  const parts = [
    `${count("done")} done`,
    count("failed") > 0 && `${count("failed")} failed`,
    count("skipped") > 0 && `${count("skipped")} skipped`,
    unreachable.size > 0 && `${unreachable.size} ${unreachable.size === 1 ? "host" : "hosts"} unreachable`,
  ];
  return parts.filter((part) => part !== false).join(", ");
}

/** The same for programs: stable names, an OCI state for each container that is there. */
export function resultsJson(outcome: FleetOutcome, { fleet }: { fleet: string }): unknown {
  return {
    fleet,
    changed: outcome.changes.some(({ kind }) => kind === "done"),
    interrupted: outcome.interrupted,
    containers: outcome.changes.map((one) => ({
      id: one.change.id,
      host: one.change.host,
      change: one.change.kind,
      result: one.kind,
      ...(one.kind === "done" && {
        durationMs: Math.round(one.durationMs),
        ...(one.container !== undefined && { state: one.container.state }),
      }),
      ...(one.kind === "failed" && { durationMs: Math.round(one.durationMs), error: one.error }),
      ...(one.kind === "skipped" && { reason: one.reason }),
    })),
    unreachable: [...outcome.unreachable].map(([host, error]) => ({ host, error })),
  };
}
