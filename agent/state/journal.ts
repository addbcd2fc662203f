import { statSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ContainerId, OperationId } from "../../shared/ids.ts";
import type { Paths } from "../paths.ts";
import { readNames } from "./files.ts";
import {
  type Ending,
  type Entry,
  type Intent,
  JournalWriter,
  operationOf,
  readEntries,
} from "./journal-file.ts";
import type { LockFile } from "./lock.ts";

/**
 * The operations of this host: one append-only file per agent process, read by all. Who asks about an
 * operation holds its container's lock: then nobody is at it, and one that has begun and not ended was cut off.
 */
export type Journal = AsyncDisposable & {
  /** @throws {NexcageError} `DISK_FULL` */
  begin(intent: Intent): Promise<void>;
  /** Of an own operation, or of one that another agent left. */
  end(operationId: OperationId, ending: Ending): Promise<void>;
  /** How an operation of any agent ended, within the last day. */
  find(operationId: OperationId): Ending | undefined;
  /** What has begun and not ended, in any agent: of one container, or of all. */
  unfinished(id?: ContainerId): CutOff[];
  /** Their results have arrived: they may be forgotten. */
  acknowledge(operationIds: OperationId[]): void;
};

/** An operation that has begun and not ended, and when it began. */
export type CutOff = Intent & { at: string };

/** So long an operation's result can be asked for again. */
export const keepMs = 24 * 60 * 60 * 1_000;

export type JournalOptions = {
  paths: Paths;
  lockFile: LockFile;
  /** Makes this process's file name; unique. */
  newId: () => string;
  now: () => Date;
  signal: AbortSignal;
};

/** Opens the journal. This process's own file is made with its first change: who only looks leaves nothing. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { paths, newId, now } = options;
  const path = join(paths.journals, `${newId()}.jsonl`);
  const own = new Map<OperationId, Entry>();
  const others = otherFiles(paths.journals, path);
  let opening: Promise<OwnFile> | undefined;

  await removeExpired(others.paths(), others.latest, options);

  async function append(entry: Entry): Promise<void> {
    opening ??= openOwnFile(path, options);
    await (await opening).writer.append(entry);
    own.set(operationOf(entry), entry);
  }
  const latest = (operationId: OperationId): Entry | undefined =>
    later(own.get(operationId), others.latest(operationId));

  return {
    begin: (intent) => append({ at: now().toISOString(), intent }),
    end: (operationId, ending) => append({ at: now().toISOString(), operationId, ending }),
    find(operationId) {
      const entry = latest(operationId);
      if (entry === undefined || "intent" in entry) return undefined;
      return now().getTime() - Date.parse(entry.at) < keepMs ? entry.ending : undefined;
    },
    unfinished(id) {
      const intents = [...own.values(), ...others.entries()].flatMap((entry) =>
        "intent" in entry && latest(operationOf(entry)) === entry ? [{ ...entry.intent, at: entry.at }] : [],
      );
      return id === undefined ? intents : intents.filter((intent) => intent.id === id);
    },
    acknowledge(operationIds) {
      for (const operationId of operationIds) {
        const entry = own.get(operationId);
        if (entry !== undefined && "ending" in entry) own.delete(operationId);
      }
    },
    async [Symbol.asyncDispose]() {
      // Nobody will ask again for what was acknowledged.
      await (await opening)?.close({ remove: own.size === 0 });
    },
  };
}

type OwnFile = { writer: JournalWriter; close(options: { remove: boolean }): Promise<void> };

async function openOwnFile(path: string, { paths, lockFile, signal }: JournalOptions): Promise<OwnFile> {
  await using cleanup = new AsyncDisposableStack();
  await mkdir(paths.journals, { recursive: true, mode: 0o700 });
  // Held while this process lives, so that nobody takes the file for a dead agent's.
  cleanup.use(await lockFile(lockPathOf(path, paths), { wait: true, signal }));
  const writer = cleanup.use(await JournalWriter.open(path));
  const opened = cleanup.move();
  return {
    writer,
    async close({ remove }) {
      if (remove) await rm(path, { force: true });
      await opened.disposeAsync();
    },
  };
}

function lockPathOf(path: string, paths: Paths): string {
  return paths.journalLock(basename(path, ".jsonl"));
}

/** What the other agents' files say; of each only what is new is read. */
function otherFiles(folder: string, ownPath: string) {
  type File = { version: string; inode: number; offset: number; entries: Map<OperationId, Entry> };
  let files = new Map<string, File>();
  const paths = (): string[] =>
    readNames(folder)
      .filter((name) => name.endsWith(".jsonl"))
      .map((name) => join(folder, name))
      .filter((path) => path !== ownPath);

  function readFile(path: string, known: File | undefined): File | undefined {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    const version = `${found.ino}:${found.size}:${found.mtimeMs}`;
    if (known?.version === version) return known;
    const isLonger = known !== undefined && known.inode === found.ino && known.offset <= found.size;
    const entries = isLonger ? known.entries : new Map<OperationId, Entry>();
    const offset = readEntries(path, isLonger ? known.offset : 0, entries);
    return { version, inode: found.ino, offset, entries };
  }
  function read(): File[] {
    const now = new Map<string, File>();
    for (const path of paths()) {
      const file = readFile(path, files.get(path));
      if (file !== undefined) now.set(path, file);
    }
    files = now;
    return [...files.values()];
  }
  return {
    paths,
    entries: (): Entry[] => read().flatMap(({ entries }) => [...entries.values()]),
    latest: (operationId: OperationId): Entry | undefined =>
      read()
        .map(({ entries }) => entries.get(operationId))
        .reduce(later, undefined),
  };
}

/** Of two entries on one operation the later one; at the same time an ending comes after its intent. */
function later(a: Entry | undefined, b: Entry | undefined): Entry | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.at !== b.at) return a.at > b.at ? a : b;
  return "intent" in a ? b : a;
}

/** Removes the files of agents that are gone, a day after their last word, once all in them has ended. */
async function removeExpired(
  paths: string[],
  latest: (operationId: OperationId) => Entry | undefined,
  { paths: agentPaths, lockFile, now, signal }: JournalOptions,
): Promise<void> {
  for (const path of paths) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined || now().getTime() - found.mtimeMs < keepMs) continue;
    const entries = new Map<OperationId, Entry>();
    readEntries(path, 0, entries);
    const hasOpen = [...entries.values()].some(
      (entry) => "intent" in entry && "intent" in (latest(operationOf(entry)) ?? entry),
    );
    if (hasOpen) continue;
    await using lock = await lockFile(lockPathOf(path, agentPaths), { wait: false, signal });
    if (lock !== undefined) await rm(path, { force: true });
  }
}
