import type { LogLine } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";

export type ReadLogsOptions = {
  /** The last so many lines only. */
  tail?: number | undefined;
  /** Lines not older than this, ISO 8601. */
  since?: string | undefined;
  /** Goes on as the container writes, until it has ended and all is read. */
  follow?: boolean | undefined;
  /** True once nobody writes any more: the monitor is gone, not only the container's init. */
  ended: () => boolean | Promise<boolean>;
  /** Ends a follow; what was read by then has been given. */
  signal: AbortSignal;
};

/**
 * A container's log, oldest line first, in batches of at most some hundred KiB: `PATH.1`, then `PATH`,
 * as its monitor rotates them. A log that is not there has no lines.
 */
export function readLogs(path: string, options: ReadLogsOptions): AsyncGenerator<LogLine[]> {
  throw new NexcageError("INTERNAL", `${path} ${options.tail}`);
}
