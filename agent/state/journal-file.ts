import { appendFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod";
import { Change } from "../../shared/container.ts";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";
import { ErrorData } from "../../shared/protocol.ts";
import { BackendName } from "../../shared/spec.ts";
import { readText } from "./files.ts";

/** What is about to be done, on disk before it is. */
export const Intent = z.object({
  operationId: OperationId,
  kind: z.enum([
    "create",
    "replace",
    "update",
    "start",
    "stop",
    "restart",
    "pause",
    "resume",
    "kill",
    "delete",
    "adopt",
  ]),
  id: ContainerId,
  /** For `replace`: the old one ran, and must again if it stays. */
  wasRunning: z.boolean().optional(),
  /** For `replace`: what is to run the new one. */
  runtime: BackendName.optional(),
  /** For `restart`: its init before. */
  pid: z.int().optional(),
});
export type Intent = z.infer<typeof Intent>;

/** How it ended. `undone`: nothing of it is left, and it may be asked again as if it never was. */
export const Ending = z.union([
  z.object({ change: Change }),
  z.object({ error: ErrorData }),
  z.object({ undone: z.literal(true) }),
]);
export type Ending = z.infer<typeof Ending>;

const at = z.iso.datetime();
const Entry = z.union([
  z.object({ at, intent: Intent }),
  z.object({ at, operationId: OperationId, ending: Ending }),
]);
/** A line of a journal's file. */
export type Entry = z.infer<typeof Entry>;

export function operationOf(entry: Entry): OperationId {
  return "intent" in entry ? entry.intent.operationId : entry.operationId;
}

/**
 * Takes in what a file says from `offset` on: of each operation the last word. What is torn, by a crash or
 * a full disk, says nothing. Gives the offset behind the last whole line.
 */
export function readEntries(path: string, offset: number, into: Map<OperationId, Entry>): number {
  const text = readText(path)?.slice(offset) ?? "";
  const end = text.lastIndexOf("\n") + 1;
  for (const line of text.slice(0, end).split("\n")) {
    const entry = parseEntry(line);
    if (entry !== undefined) into.set(operationOf(entry), entry);
  }
  return offset + end;
}

function parseEntry(line: string): Entry | undefined {
  if (line === "") return undefined;
  try {
    return Entry.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/**
 * Appends entries to a file of its own. What comes while others are on their way to the disk goes
 * together, in one write and one sync. A promise resolves when its entry is on disk.
 */
export class JournalWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  #lines: string[] = [];
  #next: Promise<void> | undefined;
  /** The write before; never rejects. */
  #last: Promise<void> = Promise.resolve();
  /** What is whole. */
  #bytes = 0;
  #isTorn = false;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async open(path: string): Promise<JournalWriter> {
    const file = await open(path, "ax", 0o600);
    await using folder = await open(dirname(path));
    await folder.sync();
    return new JournalWriter(path, file);
  }

  /** @throws {NexcageError} `DISK_FULL` */
  append(entry: Entry): Promise<void> {
    this.#lines.push(`${JSON.stringify(entry)}\n`);
    this.#next ??= this.#last.then(() => this.#flush());
    return this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next?.catch(() => {}); // who appended was told
    await this.#last;
    await this.#file.close();
  }

  #flush(): Promise<void> {
    const text = (this.#isTorn ? "\n" : "") + this.#lines.join("");
    this.#lines = [];
    this.#next = undefined;
    const writing = this.#write(text);
    this.#last = writing.catch(() => {});
    return writing;
  }

  async #write(text: string): Promise<void> {
    try {
      appendFileSync(this.#file.fd, text);
      await this.#file.datasync();
      this.#bytes += Buffer.byteLength(text);
      this.#isTorn = false;
    } catch (error) {
      this.#isTorn = await this.#file.truncate(this.#bytes).then(
        () => false,
        () => true,
      );
      if (!hasCode(error, "ENOSPC", "EDQUOT")) throw error;
      throw new NexcageError("DISK_FULL", `no space left for the journal ${this.#path}`, {
        hint: `make space there: df -h ${dirname(this.#path)}`,
        cause: error,
      });
    }
  }
}
