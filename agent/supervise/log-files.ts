import { stat } from "node:fs/promises";
import { hasCode } from "../../shared/errors.ts";
import { LogFile } from "./log-file.ts";

/**
 * The two files of a log: `PATH` and, once it was rotated, `PATH.1`. What is open here keeps its inode,
 * so that no later file can be taken for it.
 */
export class LogFiles implements AsyncDisposable {
  readonly #path: string;
  older: LogFile | undefined;
  current: LogFile | undefined;

  private constructor(path: string) {
    this.#path = path;
  }

  static async open(path: string): Promise<LogFiles> {
    const files = new LogFiles(path);
    await files.#openBoth();
    return files;
  }

  /** True once another file has the log's name. While none has, its monitor is between two. */
  async isRotated(): Promise<boolean> {
    const inode = await inodeOf(this.#path);
    return inode !== undefined && inode !== this.current?.inode;
  }

  /** Goes on to the files that there are now; gives the one before the current if it was not open yet. */
  async advance(): Promise<LogFile | undefined> {
    const before = [this.older, this.current];
    await this.#openBoth();
    for (const file of before) await file?.[Symbol.asyncDispose]();
    return before.some((file) => file?.inode === this.older?.inode) ? undefined : this.older;
  }

  /** Both as they are at one moment: not the same file under its old and its new name. */
  async #openBoth(): Promise<void> {
    for (;;) {
      const current = await LogFile.open(this.#path);
      const older = await LogFile.open(`${this.#path}.1`);
      if (
        current?.inode === (await inodeOf(this.#path)) &&
        (older === undefined || older.inode !== current?.inode)
      ) {
        this.current = current;
        this.older = older;
        return;
      }
      await current?.[Symbol.asyncDispose]();
      await older?.[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.older?.[Symbol.asyncDispose]();
    await this.current?.[Symbol.asyncDispose]();
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    return undefined;
  }
}
