/**
 * The whole vocabulary of failure: a code, and the exit status with which `nexcage` ends for it.
 * A new failure is a line here; without one it does not compile.
 */
export const exitCodes = {
  // the user's words
  USAGE: 64,
  INVALID_FILE: 64,
  SELECTION_EMPTY: 64,
  INVALID_ID: 64,
  // reaching a host
  HOST_UNREACHABLE: 4,
  HOST_KEY_UNKNOWN: 4,
  HOST_KEY_CHANGED: 4,
  HOST_KEY_REVOKED: 4,
  AUTH_FAILED: 4,
  KEY_UNSUPPORTED: 4,
  BECOME_FAILED: 4,
  CONNECTION_LOST: 4,
  AGENT_MISSING: 4,
  AGENT_LOST: 4,
  AGENT_GARBAGE: 4,
  PROTOCOL_VERSION: 4,
  // putting the agent there
  PLATFORM_UNSUPPORTED: 1,
  TRIAL_FAILED: 1,
  SIGNATURE_INVALID: 9,
  // on a host
  CONTAINER_NOT_FOUND: 1,
  CONTAINER_EXISTS: 1,
  CONTAINER_NOT_RUNNING: 1,
  CONTAINER_RUNNING: 1,
  CONTAINER_EXITED: 1,
  CONTAINER_NOT_OWNED: 9,
  BUNDLE_INVALID: 1,
  SPEC_REFUSED: 1,
  BACKEND_UNAVAILABLE: 1,
  IMAGE_MISSING: 1,
  IMAGE_INVALID: 1,
  UPLOAD_FAILED: 1,
  DISK_FULL: 1,
  RUNTIME_FAILED: 1,
  EXEC_FAILED: 1,
  TIMED_OUT: 1,
  FRAME_TOO_LARGE: 1,
  TOO_MANY_REQUESTS: 1,
  PROTOCOL_ERROR: 1,
  STATE_CORRUPT: 1,
  DEPENDENCY_FAILED: 1,
  // the fleet
  PARTIAL: 3,
  LOCK_HELD: 5,
  REFUSED: 9,
  CONFIRMATION_NEEDED: 10,
  INTERRUPTED: 130,
  INTERNAL: 1,
} as const;

export type ErrorCode = keyof typeof exitCodes;

/** What a program reads of a failure: numbers, names, paths, last log lines. JSON values only. */
export type ErrorDetails = Record<string, unknown>;

/** A failure as it goes over the protocol and into `-o json`. */
export type ErrorJson = {
  code: ErrorCode;
  message: string;
  hint?: string | undefined;
  details?: ErrorDetails | undefined;
};

/**
 * The one error class. `message` says what happened, to what, where: lower case, no full stop, the
 * user's own words quoted. `hint` is the next thing to do, best a command.
 */
export class NexcageError extends Error {
  override readonly name = "NexcageError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: ErrorDetails | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      hint?: string | undefined;
      details?: ErrorDetails | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }

  toJSON(): ErrorJson {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint !== undefined && { hint: this.hint }),
      ...(this.details !== undefined && { details: this.details }),
    };
  }

  get exitCode(): number {
    return exitCodes[this.code];
  }
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(exitCodes, code);
}

/** True for an error of Node's or the system's with this code, such as `ENOENT`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/**
 * Any thrown value as a NexcageError. What has no code yet is `INTERRUPTED` when it is an abort,
 * `DISK_FULL` for ENOSPC and EDQUOT, else `INTERNAL`, with the original as its cause.
 */
export function asNexcageError(error: unknown): NexcageError {
  if (error instanceof NexcageError) return error;
  if (error instanceof Error && error.name === "AbortError")
    return error.cause instanceof NexcageError
      ? error.cause
      : new NexcageError("INTERRUPTED", "interrupted", { cause: error });
  if (error instanceof Error && error.name === "TimeoutError")
    return new NexcageError("TIMED_OUT", error.message, { cause: error });
  if (hasCode(error, "ENOSPC", "EDQUOT"))
    return new NexcageError("DISK_FULL", `no space left: ${(error as Error).message}`, {
      hint: "make space there (df -h), then run it again",
      cause: error,
    });
  const message = error instanceof Error ? error.message : String(error);
  return new NexcageError("INTERNAL", message, { cause: error });
}
