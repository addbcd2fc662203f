import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { LogLine } from "../../shared/container.ts";
import { Changes } from "./changes.ts";
import type { LogFile } from "./log-file.ts";
import { LogFiles } from "./log-files.ts";

export type ReadLogsOptions = {
  /** The last so many lines only. */
  tail?: number | undefined;
  /** Lines not older than this, ISO 8601. */
  since?: string | undefined;
  /** Goes on as the container writes, until it has ended and all is read. */
  follow?: boolean | undefined;
  /** True once nobody writes any more: the monitor is gone, not only the container's init. */
  ended: () => boolean | Promise<boolean>;
  /** Ends the reading, without an error: what was read by then has been given. */
  signal: AbortSignal;
};

/** How long the end of a container may go unseen while nothing is written. */
const lookEveryMs = 500;

/**
 * A container's log, oldest line first, in batches of at most 256 KiB: `PATH.1`, then `PATH`, as its
 * monitor rotates them. A log that is not there has no lines. A follower goes on with a file by its
 * inode, so a rotation neither loses nor doubles a line; only one who is two rotations behind misses what
 * was removed meanwhile.
 */
export async function* readLogs(path: string, options: ReadLogsOptions): AsyncGenerator<LogLine[]> {
  const { follow = false, signal } = options;
  for await (const lines of follow ? followFiles(path, options) : readFiles(path, options)) {
    const wanted = since(lines, options.since);
    if (wanted.length > 0) yield wanted;
    if (signal.aborted) return;
  }
}

async function* readFiles(path: string, { tail, signal }: ReadLogsOptions): AsyncGenerator<LogLine[]> {
  await using files = await LogFiles.open(path);
  await seekTail(files, tail);
  // To where it ends now: a busy container would write on for as long as it is read.
  for (const file of [files.older, files.current]) yield* rest(file, { end: await file?.size(), signal });
}

async function* followFiles(
  path: string,
  { tail, ended, signal }: ReadLogsOptions,
): AsyncGenerator<LogLine[]> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 }); // to watch it
  using changes = new Changes(path);
  await using files = await LogFiles.open(path);
  await seekTail(files, tail);
  yield* rest(files.older, { signal });

  while (!signal.aborted) {
    const isLast = await ended(); // before reading: what was written by then is read below
    yield* rest(files.current, { signal });
    if (await files.isRotated()) {
      // Its monitor wrote all of it before it made the next one.
      yield* rest(files.current, { signal });
      yield* rest(await files.advance(), { signal });
      continue;
    }
    if (isLast) {
      if (files.current !== undefined) yield await files.current.torn();
      return;
    }
    await changes.wait({ atMostMs: lookEveryMs, signal });
  }
}

async function* rest(
  file: LogFile | undefined,
  { end, signal }: { end?: number | undefined; signal: AbortSignal },
): AsyncGenerator<LogLine[]> {
  while (file !== undefined && !signal.aborted) {
    const lines = await file.next(end);
    if (lines.length === 0) return;
    yield lines;
  }
}

async function seekTail({ current, older }: LogFiles, tail: number | undefined): Promise<void> {
  if (tail === undefined) return;
  const found = (await current?.seekTail(tail)) ?? 0;
  await older?.seekTail(tail - found);
}

function since(lines: LogLine[], time: string | undefined): LogLine[] {
  if (time === undefined) return lines;
  const from = Date.parse(time);
  return lines.filter((line) => Date.parse(line.time) >= from);
}
