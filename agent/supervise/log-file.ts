import { type FileHandle, open } from "node:fs/promises";
import type { LogLine } from "../../shared/container.ts";
import { hasCode } from "../../shared/errors.ts";
import { parseLine, parseLines, walkBack } from "./log-lines.ts";

/** Far more than the longest line that a monitor writes, 16 KiB. */
const batchBytes = 256 * 1024;

/**
 * One file of a log, read on from a line's beginning. It is the same file after it was renamed. Nothing
 * is kept of a line that is not whole yet, as its monitor may take it back on a full disk.
 */
export class LogFile implements AsyncDisposable {
  readonly inode: number;
  readonly #handle: FileHandle;
  #position = 0;

  private constructor(handle: FileHandle, inode: number) {
    this.#handle = handle;
    this.inode = inode;
  }

  /** Undefined when there is none. */
  static async open(path: string): Promise<LogFile | undefined> {
    try {
      const handle = await open(path);
      return new LogFile(handle, (await handle.stat()).ino);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
      return undefined;
    }
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** The next whole lines, of what lies before the byte `end`; none when there are no more by now. */
  async next(end = Number.MAX_SAFE_INTEGER): Promise<LogLine[]> {
    const bytes = await this.#read(this.#position, Math.min(end, this.#position + batchBytes));
    const { lines, bytes: taken } = parseLines(bytes);
    this.#position += taken;
    if (taken > 0 || bytes.length < batchBytes) return lines;
    this.#position += bytes.length; // no line is so long: not a monitor's
    return [parseLine(bytes.toString())];
  }

  /** What was begun and not ended: the monitor was killed while it wrote. */
  async torn(): Promise<LogLine[]> {
    const bytes = await this.#read(this.#position, this.#position + batchBytes);
    this.#position += bytes.length;
    return bytes.length === 0 ? [] : [parseLine(bytes.toString())];
  }

  /** Goes to where `count` whole lines are left, or to the beginning; how many are left. */
  async seekTail(count: number): Promise<number> {
    let found = 0;
    let end = await this.size();
    while (end > 0) {
      const begin = Math.max(0, end - batchBytes);
      const block = await this.#read(begin, end);
      const walked = walkBack(block, count - found, { beginsALine: begin === 0 });
      found += walked.found;
      this.#position = begin + walked.start;
      // A line that fills a block is no monitor's: the tail begins behind it.
      if (!walked.isAll || begin === 0 || walked.start === block.length) return found;
      end = begin + walked.start;
    }
    return found;
  }

  async #read(begin: number, end: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(Math.max(0, end - begin));
    const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, begin);
    return buffer.subarray(0, bytesRead);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
