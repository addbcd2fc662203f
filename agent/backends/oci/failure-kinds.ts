import type { ErrorCode } from "../../../shared/errors.ts";

/** What our C calls a failure (native/ncx.h), and what it is called here. */
export const failureKinds = {
  missing: "CONTAINER_NOT_FOUND",
  exists: "CONTAINER_EXISTS",
  stopped: "CONTAINER_NOT_RUNNING",
  running: "CONTAINER_RUNNING",
  refused: "SPEC_REFUSED",
  id: "INVALID_ID",
  bundle: "BUNDLE_INVALID",
  exec: "EXEC_FAILED",
  space: "DISK_FULL",
  timeout: "TIMED_OUT",
  failed: "RUNTIME_FAILED",
} as const satisfies Record<string, ErrorCode>;

export type FailureKind = keyof typeof failureKinds;
