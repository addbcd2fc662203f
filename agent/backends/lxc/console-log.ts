import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import type { LogLine } from "../../../shared/container.ts";
import { hasCode } from "../../../shared/errors.ts";
import type { LogRequest } from "../backend.ts";

/*
 * What a guest writes on its console, as LXC keeps it (`lxc.console.logfile`): lines that end in CR LF, without
 * time or stream, appended over all its starts.
 */

const pollMs = 200;
const pieceBytes = 256 * 1024;
/** Above it a log is put aside at the next start, when nobody has it open. */
const maxBytes = 8 * 1024 * 1024;

/** The lines of a console's log. Their time is when the file was last written, or when they were seen. */
export async function* readConsole(
  path: string,
  { tail, since, follow = false, ended, signal }: LogRequest & { ended: () => boolean; signal: AbortSignal },
): AsyncGenerator<LogLine[]> {
  await using file = await openIfThere(path);
  if (file === undefined) return;
  const { mtime, size } = await file.stat();
  if (!follow && since !== undefined && mtime.getTime() < Date.parse(since)) return;
  const decoder = new StringDecoder("utf8"); // a piece may end in the middle of a character
  let rest = "";
  let offset = 0;
  const history: LogLine[] = [];
  const take = (data: Buffer, time: Date): LogLine[] => {
    const lines = (rest + decoder.write(data)).split("\n");
    rest = lines.pop() ?? "";
    return lines.map((line) => ({
      time: time.toISOString(),
      stream: "stdout",
      text: line.replace(/\r$/, ""),
    }));
  };
  const buffer = Buffer.alloc(pieceBytes);
  while (offset < size && !signal.aborted) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(pieceBytes, size - offset), offset);
    if (bytesRead === 0) break;
    offset += bytesRead;
    history.push(...take(buffer.subarray(0, bytesRead), mtime));
    if (tail === undefined) yield history.splice(0);
    else history.splice(0, Math.max(0, history.length - tail));
  }
  if (history.length > 0) yield history;
  while (follow && !signal.aborted) {
    const isLast = ended(); // before reading: what was written by then is read below
    const { bytesRead } = await file.read(buffer, 0, pieceBytes, offset);
    offset += bytesRead;
    const lines = take(buffer.subarray(0, bytesRead), new Date());
    if (lines.length > 0) yield lines;
    if (bytesRead > 0) continue;
    if (isLast) return;
    await sleep(pollMs, undefined, { signal }).catch(() => {});
  }
}

/** Puts a long log aside before a start; LXC opens the path anew with each. */
export async function rotateConsole(path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > maxBytes) await rename(path, `${path}.1`);
}

export async function removeConsole(path: string): Promise<void> {
  for (const file of [path, `${path}.1`]) await rm(file, { force: true });
}

async function openIfThere(path: string): Promise<(FileHandle & AsyncDisposable) | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
