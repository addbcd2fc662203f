import { type FileHandle, mkdir, open, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Change } from "../../shared/container.ts";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";
import { ErrorData } from "../../shared/protocol.ts";
import type { LockFile } from "./lock.ts";
import { readNames } from "./records.ts";

/** What is about to be done, written before it is. */
export const Intent = z.object({
  operationId: OperationId,
  kind: z.enum(["create", "replace", "update", "start", "stop", "kill", "delete"]),
  id: ContainerId,
  /** For `create` and `replace`: whether it is to be started as well. */
  start: z.boolean().optional(),
  at: z.iso.datetime(),
});
export type Intent = z.infer<typeof Intent>;

/** How it ended: the answer that a resend gets. */
export const Recorded = z.union([z.object({ change: Change }), z.object({ error: ErrorData })]);
export type Recorded = z.infer<typeof Recorded>;

/** A line of a journal's file. `undone`: it left nothing, and may be sent again as if it never was. */
const Line = z.union([
  z.object({ intent: Intent }),
  z.object({ operationId: OperationId, recorded: Recorded }),
  z.object({ operationId: OperationId, undone: z.literal(true) }),
]);
type Line = z.infer<typeof Line>;

/**
 * The operations of this host: one append-only file per agent process, locked while that one lives, and
 * read by all. What a promise here gives is on disk.
 */
export type Journal = AsyncDisposable & {
  begin(intent: Intent): Promise<void>;
  end(operationId: OperationId, recorded: Recorded): Promise<void>;
  /** How an operation of any agent ended; undefined where none has it, or it has not ended. */
  find(operationId: OperationId): Promise<Recorded | undefined>;
  /** Their results have arrived: they may be forgotten. */
  acknowledge(operationIds: OperationId[]): void;
  /**
   * Takes over what agents that are gone left unfinished, each by `settle`: it gives the result when it
   * finished the operation, `undone` when it left nothing, `later` when neither could be done now. A file
   * is removed when it is a day old.
   */
  recover(settle: (operation: Intent) => Promise<Recorded | "undone" | "later">): Promise<void>;
};

const keepMs = 24 * 60 * 60 * 1_000;

export async function openJournal(options: {
  folder: string;
  lockFile: LockFile;
  /** Makes this process's file name; unique. */
  newId: () => string;
  now: () => Date;
  signal: AbortSignal;
}): Promise<Journal> {
  const { folder, lockFile, newId, now, signal } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${newId()}.jsonl`);
  const others = otherJournals(folder, path);
  const recorded = new Map<OperationId, Recorded>();
  const unended = new Set<OperationId>();
  let own: Promise<OwnFile> | undefined;
  const ownFile = (): Promise<OwnFile> => {
    // Made with the first change: an agent that only looks leaves nothing.
    own ??= openOwnFile(path, lockFile, signal);
    return own;
  };

  return {
    async begin(intent) {
      unended.add(intent.operationId);
      await (await ownFile()).append({ intent });
    },
    async end(operationId, result) {
      await (await ownFile()).append({ operationId, recorded: result });
      unended.delete(operationId);
      recorded.set(operationId, result);
    },
    async find(operationId) {
      return recorded.get(operationId) ?? (await others.find(operationId));
    },
    acknowledge(operationIds) {
      for (const operationId of operationIds) recorded.delete(operationId);
    },
    async recover(settle) {
      for (const other of await others.paths()) {
        const lock = await lockFile(lockPath(other), { wait: false, signal });
        if (lock === undefined) continue; // its agent lives
        await using _lock = lock;
        const { unfinished } = await readJournal(other);
        for (const operation of unfinished) {
          const { operationId } = operation;
          const result = await settle(operation);
          if (result === "later") continue;
          await appendTo(
            other,
            result === "undone" ? { operationId, undone: true } : { operationId, recorded: result },
          );
        }
        const age = now().getTime() - (await stat(other)).mtimeMs;
        if (age > keepMs) await unlink(other);
      }
    },
    async [Symbol.asyncDispose]() {
      if (own === undefined) return;
      // Nobody will ask again for what was acknowledged.
      await (await own).close({ remove: recorded.size === 0 && unended.size === 0 });
    },
  };
}

const lockPath = (path: string): string => `${path}.lock`;

type OwnFile = { append(line: Line): Promise<void>; close(options: { remove: boolean }): Promise<void> };

/** This process's file. Lines that are appended while another write is being synced share the next one. */
async function openOwnFile(path: string, lockFile: LockFile, signal: AbortSignal): Promise<OwnFile> {
  const lock = await lockFile(lockPath(path), { wait: true, signal });
  if (lock === undefined) throw new NexcageError("INTERNAL", `${path} is another agent's`);
  const handle = await open(path, "a", 0o600).catch(async (error: unknown) => {
    await lock[Symbol.asyncDispose]();
    throw error;
  });
  let pending: string[] = [];
  let writing: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  async function flush(): Promise<void> {
    const lines = pending;
    pending = [];
    next = undefined;
    await writeLines(handle, lines);
  }
  return {
    append(line) {
      pending.push(`${JSON.stringify(line)}\n`);
      if (next === undefined) {
        const before: Promise<void> = writing?.catch(() => {}) ?? Promise.resolve();
        next = before.then(flush);
        writing = next;
      }
      return next;
    },
    async close({ remove }) {
      await writing?.catch(() => {}); // who appended was told
      if (remove) await unlink(path);
      await handle.close();
      await lock[Symbol.asyncDispose]();
    },
  };
}

async function writeLines(handle: FileHandle, lines: string[]): Promise<void> {
  const { size } = await handle.stat();
  try {
    await handle.appendFile(lines.join(""));
    await handle.datasync();
  } catch (error) {
    // A full disk tears the last line; what follows it must begin on its own.
    await handle.truncate(size).catch(() => {});
    throw error;
  }
}

async function appendTo(path: string, line: Line): Promise<void> {
  await using handle = await open(path, "a", 0o600);
  await writeLines(handle, [`\n${JSON.stringify(line)}\n`]); // the line before may be torn
}

/** A journal's operations: how those that ended did, and those that did not. A torn line is none. */
async function readJournal(
  path: string,
): Promise<{ results: Map<OperationId, Recorded>; unfinished: Intent[] }> {
  const intents = new Map<OperationId, Intent>();
  const results = new Map<OperationId, Recorded>();
  let text = "";
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
  for (const line of text.split("\n")) {
    const parsed = parseLine(line);
    if (parsed === undefined) continue;
    if ("intent" in parsed) {
      intents.set(parsed.intent.operationId, parsed.intent);
      results.delete(parsed.intent.operationId);
    } else {
      intents.delete(parsed.operationId);
      if ("recorded" in parsed) results.set(parsed.operationId, parsed.recorded);
    }
  }
  return { results, unfinished: [...intents.values()] };
}

function parseLine(line: string): Line | undefined {
  if (line === "") return undefined;
  try {
    const parsed = Line.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** What the other agents' files say, each read again only when it has changed. */
function otherJournals(folder: string, ownPath: string) {
  const cache = new Map<string, { version: string; results: Map<OperationId, Recorded> }>();
  const paths = async (): Promise<string[]> =>
    (await readNames(folder))
      .filter((name) => name.endsWith(".jsonl"))
      .map((name) => join(folder, name))
      .filter((path) => path !== ownPath)
      .sort();
  return {
    paths,
    async find(operationId: OperationId): Promise<Recorded | undefined> {
      for (const path of await paths()) {
        const found = await stat(path).catch(() => undefined);
        if (found === undefined) continue;
        const version = `${found.ino}:${found.size}:${found.mtimeMs}`;
        let entry = cache.get(path);
        if (entry?.version !== version) {
          entry = { version, results: (await readJournal(path)).results };
          cache.set(path, entry);
        }
        const result = entry.results.get(operationId);
        if (result !== undefined) return result;
      }
      return undefined;
    },
  };
}
