import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import type { LogLine } from "../../../shared/container.ts";
import { hasCode } from "../../../shared/errors.ts";
import { freeHead, headOf } from "../../libc.ts";
import { hasRoom } from "../../state/files.ts";
import type { LogRequest } from "../backend.ts";

/*
 * What a guest writes on its console, as LXC keeps it (`lxc.console.logfile`): lines that end in CR LF, without
 * time or stream, appended over all its starts.
 *
 * Nobody rotates it: Proxmox takes no `lxc.console.rotate`, with which LXC writes a wrong piece at each turn
 * (src/lxc/terminal.c, `lxc_terminal_write_log_file`), and LXC keeps the file open. It opens it with O_APPEND, so
 * the head of the file is given back to the disk instead, as a hole: no byte moves and none is lost meanwhile.
 */

const pollMs = 200;
const pieceBytes = 256 * 1024;
/** What a log may take on the disk, and how much of its end stays when it takes more. */
const maxBytes = 12 * 1024 * 1024;
const keptBytes = 8 * 1024 * 1024;
/** No file system has larger blocks, and so each hole is one. */
const alignBytes = 1024 * 1024;

type OpenFile = FileHandle & AsyncDisposable;

/** The lines of a console's log. Their time is when the file was last written, or when they were seen. */
export async function* readConsole(
  path: string,
  { tail, since, follow = false, ended, signal }: LogRequest & { ended: () => boolean; signal: AbortSignal },
): AsyncGenerator<LogLine[]> {
  await using file = await openIfThere(path);
  if (file === undefined) return;
  const { mtime, size } = await file.stat();
  if (!follow && since !== undefined && mtime.getTime() < Date.parse(since)) return;
  const reader = readerOf(file);
  const history: LogLine[] = [];
  while (!signal.aborted) {
    const piece = await reader.next(size);
    if (piece === undefined) break;
    history.push(...toLines(piece, mtime));
    if (tail === undefined) yield history.splice(0);
    else history.splice(0, Math.max(0, history.length - tail));
  }
  if (history.length > 0) yield history;
  let trimmedAt = 0;
  while (follow && !signal.aborted) {
    const isLast = ended(); // before reading: what was written by then is read below
    const piece = await reader.next();
    if (piece === undefined) {
      if (isLast) return;
      await sleep(pollMs, undefined, { signal }).catch(() => {});
      continue;
    }
    if (piece.length > 0) yield toLines(piece, new Date());
    if (reader.offset() - trimmedAt < alignBytes) continue;
    trimmedAt = reader.offset();
    await trim(file, { before: trimmedAt });
  }
}

/** Whether a log takes more of the disk than it may. */
export function isLong(path: string): boolean {
  return !hasRoom(path, maxBytes);
}

/** Gives the disk back the head of a log that has become long, also while LXC writes on. */
export async function trimConsole(path: string): Promise<void> {
  await using file = await openIfThere(path);
  if (file !== undefined) await trim(file, { before: Number.MAX_SAFE_INTEGER });
}

/** Puts the log of a guest that is to be replaced aside: the next one under its name begins its own. */
export async function putConsoleAside(path: string): Promise<void> {
  await renameIfThere(path, asideOf(path));
}

export async function takeConsoleBack(path: string): Promise<void> {
  await renameIfThere(asideOf(path), path);
}

export async function discardConsole(path: string): Promise<void> {
  await rm(asideOf(path), { force: true });
}

export async function removeConsole(path: string): Promise<void> {
  for (const file of [path, asideOf(path)]) await rm(file, { force: true });
}

const asideOf = (path: string): string => `${path}.aside`;

/** Nothing at or behind `before` is taken. */
async function trim(file: OpenFile, { before }: { before: number }): Promise<void> {
  const found = await file.stat();
  if (found.blocks * 512 <= maxBytes) return;
  const end = Math.min(found.size - keptBytes, before);
  if (end >= alignBytes) await freeHead(file.fd, end - (end % alignBytes));
}

/** Reads whole lines on from where the file begins by now. */
function readerOf(file: OpenFile) {
  const buffer = Buffer.alloc(pieceBytes);
  let decoder = new StringDecoder("utf8"); // a piece may end in the middle of a character
  let rest = "";
  let offset = 0;
  let isInLine = false; // what is left of a line whose beginning is gone
  return {
    offset: () => offset,
    /** The next lines, of what lies before `end`; undefined where there is no more by now. */
    async next(end = Number.MAX_SAFE_INTEGER): Promise<string[] | undefined> {
      const { bytesRead } = await file.read(
        buffer,
        0,
        Math.max(0, Math.min(pieceBytes, end - offset)),
        offset,
      );
      if (bytesRead === 0) return undefined;
      const { size, blocks } = await file.stat();
      const begin = blocks * 512 < size ? await headOf(file.fd) : 0;
      if (begin > offset) {
        // It has become a hole, maybe while it was read.
        [offset, rest, isInLine, decoder] = [begin, "", true, new StringDecoder("utf8")];
        return [];
      }
      offset += bytesRead;
      const lines = (rest + decoder.write(buffer.subarray(0, bytesRead))).split("\n");
      rest = lines.pop() ?? "";
      if (isInLine && lines.length > 0) {
        lines.shift();
        isInLine = false;
      }
      return lines;
    },
  };
}

function toLines(texts: string[], time: Date): LogLine[] {
  return texts.map((text) => ({
    time: time.toISOString(),
    stream: "stdout",
    text: text.replace(/\r$/, ""),
  }));
}

/** For writing, where we may, to trim it. */
async function openIfThere(path: string): Promise<OpenFile | undefined> {
  try {
    return await open(path, "r+").catch(async (error: unknown) => {
      if (!hasCode(error, "EACCES", "EPERM", "EROFS")) throw error;
      return await open(path);
    });
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (!hasCode(error, "ENOENT")) throw error;
  });
}
