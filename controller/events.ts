import type { Hello, LockHolder, Observed } from "../shared/container.ts";
import type { NexcageError } from "../shared/errors.ts";
import type { OperationId } from "../shared/ids.ts";
import type { PlannedChange } from "./plan/model.ts";

/** What happens while a fleet is worked on, as it happens. `report/` alone turns it into text. */
export type FleetEvent =
  | { kind: "host.connecting"; host: string }
  | { kind: "host.ready"; host: string; hello: Hello; durationMs: number }
  | { kind: "host.unreachable"; host: string; error: NexcageError }
  | { kind: "host.lost"; host: string; error: NexcageError }
  | { kind: "host.back"; host: string }
  | { kind: "host.log"; host: string; line: string }
  | { kind: "agent.step"; host: string; step: string }
  | { kind: "agent.ended"; host: string; error?: NexcageError; durationMs: number }
  | { kind: "lock.waiting"; host: string; holder: LockHolder | undefined }
  | { kind: "image.packing" | "image.hashing"; path: string }
  | { kind: "upload.started"; host: string; path: string; bytes: number }
  | { kind: "upload.progress"; host: string; path: string; sentBytes: number; bytes: number }
  | { kind: "upload.done"; host: string; path: string; bytes: number; durationMs: number }
  | { kind: "change.started"; change: PlannedChange; operationId: OperationId }
  | { kind: "change.step"; change: PlannedChange; operationId: OperationId; step: string }
  | {
      kind: "change.done";
      change: PlannedChange;
      operationId: OperationId;
      container: Observed | undefined;
      durationMs: number;
    }
  | {
      kind: "change.failed";
      change: PlannedChange;
      /** None where it was never asked for, or had been done. */
      operationId?: OperationId;
      error: NexcageError;
      durationMs: number;
    }
  | { kind: "change.skipped"; change: PlannedChange; reason: string };

export type Emit = (event: FleetEvent) => void;
