import type { Observed } from "../shared/container.ts";
import { exitCodes, type NexcageError } from "../shared/errors.ts";
import type { PlannedChange } from "./plan/model.ts";

/** How one change ended. */
export type ChangeOutcome =
  | { kind: "done"; change: PlannedChange; container: Observed | undefined; durationMs: number }
  | { kind: "failed"; change: PlannedChange; error: NexcageError; durationMs: number }
  | { kind: "skipped"; change: PlannedChange; reason: string };

/** How a command over a fleet ended: each change, and the hosts that could not be reached. */
export type FleetOutcome = {
  changes: ChangeOutcome[];
  unreachable: Map<string, NexcageError>;
  interrupted: boolean;
};

/** As much of an outcome as the exit status depends on. */
type Ended = {
  changes: readonly ({ kind: "done" | "skipped" } | { kind: "failed"; error: NexcageError })[];
  unreachable: ReadonlyMap<string, NexcageError>;
  interrupted: boolean;
};

/**
 * The exit status of a command over a fleet: 130 interrupted; 0 when all is done; 4 when hosts could not
 * be reached and nothing else failed; 3 when some was done and some was not, or when `skip` was asked
 * for hosts that could not be reached; else that of the failure, 1 where they differ.
 */
export function exitCodeOf(outcome: Ended, onUnreachable: "fail" | "skip"): number {
  const { changes, unreachable, interrupted } = outcome;
  if (interrupted) return exitCodes.INTERRUPTED;
  const failed = changes.filter((change) => change.kind === "failed");
  const done = changes.some((change) => change.kind === "done");
  const skipped = changes.some((change) => change.kind === "skipped");
  if (failed.length === 0 && !skipped) {
    if (unreachable.size === 0) return 0;
    return onUnreachable === "skip" ? exitCodes.PARTIAL : exitCodes.HOST_UNREACHABLE;
  }
  if (done || unreachable.size > 0) return exitCodes.PARTIAL;
  const codes = new Set(failed.map(({ error }) => error.exitCode));
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : 1;
}
