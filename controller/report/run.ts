import type { NexcageError } from "../../shared/errors.ts";
import type { FleetEvent } from "../events.ts";
import type { ChangeOutcome } from "../outcome.ts";
import type { Plan } from "../plan/model.ts";

/** An event, and when it came, in ms since the command began. */
export type Timed = { atMs: number; event: FleetEvent };

/** All that a report tells of one `plan` or `apply`. */
export type Run = {
  command: "plan" | "apply";
  fleet: string;
  startedAt: Date;
  tookMs: number;
  plan: Plan;
  /** How each change ended; none for a plan. */
  changes: ChangeOutcome[];
  unreachable: ReadonlyMap<string, NexcageError>;
  events: Timed[];
};
