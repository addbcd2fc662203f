import { styleText } from "node:util";
import type { Observed } from "../../shared/container.ts";
import type { NexcageError } from "../../shared/errors.ts";
import { formatDuration } from "../../shared/units.ts";
import { describeExit } from "../plan/exit.ts";
import { printable } from "./printable.ts";
import { textTable } from "./table.ts";

/** What is wanted of a container beside what is there; either may be missing. */
export type StatusRow = {
  id: string;
  host: string;
  wanted: "running" | "absent" | "not ours";
  observed: Observed | undefined;
  /** `differs` when its spec is not the wanted one; `unknown` where its host could not be reached. */
  spec: "current" | "differs" | "unknown";
};

/** The table that people look at: wanted beside real, where, since when. */
export function statusText(
  rows: StatusRow[],
  options: { now: Date; color: boolean; unreachable: ReadonlyMap<string, NexcageError> },
): string {
  const { now, color, unreachable } = options;
  const cells = rows.map((row) => {
    const { observed, host } = row;
    const real = unreachable.has(host) ? "unknown" : realText(observed);
    const since = sinceOf(observed);
    return [
      row.id,
      host,
      row.wanted,
      color ? paintReal(real, row) : real,
      observed !== undefined && observed.state.pid > 0 ? String(observed.state.pid) : "-",
      since === undefined ? "-" : formatDuration(Math.max(now.getTime() - since.getTime(), 0)),
      since === undefined ? "-" : since.toISOString().replace(/\.\d+Z$/, "Z"),
      noteOf(row),
    ];
  });
  const table = textTable(["CONTAINER", "HOST", "WANTED", "REAL", "PID", "AGE", "SINCE", "NOTE"], cells);
  const errors = [...unreachable].map(
    ([host, error]) => `${host}: ${error.code}: ${printable(error.message)}\n`,
  );
  return [table, ...errors].filter((part) => part !== "").join("\n") || "No containers.\n";
}

/** The same for programs. */
export function statusJson(rows: StatusRow[], unreachable: ReadonlyMap<string, NexcageError>): unknown {
  return {
    containers: rows.map(({ id, host, wanted, observed, spec }) => ({
      id,
      host,
      wanted,
      spec,
      ...(observed !== undefined && {
        state: observed.state,
        createdAt: observed.createdAt,
        startedAt: observed.startedAt,
        exit: observed.exit,
        monitor: observed.monitor,
      }),
    })),
    unreachable: [...unreachable].map(([host, error]) => ({ host, error })),
  };
}

function realText(observed: Observed | undefined): string {
  if (observed === undefined) return "absent";
  return observed.state.status === "stopped"
    ? `stopped (${describeExit(observed.exit)})`
    : observed.state.status;
}

function paintReal(real: string, { wanted, observed }: StatusRow): string {
  const asWanted = wanted === "running" ? observed?.state.status === "running" : wanted === "not ours";
  return styleText(asWanted ? "green" : "yellow", real, { validateStream: false });
}

/** Since when it is as it is. */
function sinceOf(observed: Observed | undefined): Date | undefined {
  const since =
    observed?.state.status === "stopped"
      ? (observed.exit?.finishedAt ?? observed.createdAt)
      : (observed?.startedAt ?? observed?.createdAt);
  return since === undefined ? undefined : new Date(since);
}

function noteOf({ spec, observed, wanted }: StatusRow): string {
  const notes = [
    spec === "differs" && "differs from the files: nexcage fleet plan",
    wanted === "absent" && "not wanted any more (prune removes it)",
    observed?.monitor === "lost" &&
      observed.state.status !== "stopped" &&
      "its monitor was killed: output and exit code are lost",
  ];
  return notes.filter((note) => note !== false).join("; ");
}
