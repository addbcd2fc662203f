import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { flock } from "../../agent/libc.ts";
import { agentPaths } from "../../agent/paths.ts";
import { type Journal, openJournal } from "../../agent/state/journal.ts";
import type { Intent } from "../../agent/state/journal-file.ts";
import { lockFileWith } from "../../agent/state/lock.ts";
import { NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";

const lockFile = lockFileWith(flock);
const signal = new AbortController().signal;
const web = ContainerId.parse("web");
const changed = { change: { changed: true } };

function intent(name: string, more: Partial<Intent> = {}): Intent {
  return { operationId: OperationId.parse(`operation-${name}`), kind: "create", id: web, ...more };
}

/** A folder for the journals of one test, and agents' journals in it. */
async function makeFolder(t: ExecutionContext) {
  const root = await mkdtemp(join(tmpdir(), "nexcage-journal-"));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const paths = agentPaths({}, root);
  return {
    root,
    paths,
    files: async () => (await readdir(paths.journals).catch(() => [])).sort(),
    open: (name: string, now = () => new Date()) =>
      openJournal({ paths, lockFile, newId: () => name, now, signal }),
  };
}

async function endedBy(journal: Journal, name: string): Promise<void> {
  await journal.begin(intent(name));
  await journal.end(intent(name).operationId, changed);
}

test("an operation that ended is found by its own agent and by another", async (t) => {
  const folder = await makeFolder(t);
  await using one = await folder.open("one");
  await using other = await folder.open("other");
  t.is(other.find(intent("a").operationId), undefined);
  await endedBy(one, "a");
  t.deepEqual(one.find(intent("a").operationId), changed);
  t.deepEqual(other.find(intent("a").operationId), changed);
});

test("an error is recorded with its code, hint and details", async (t) => {
  const folder = await makeFolder(t);
  await using one = await folder.open("one");
  await using other = await folder.open("other");
  const error = new NexcageError("IMAGE_MISSING", "no image", { hint: "send it", details: { digest: "x" } });
  await one.begin(intent("a"));
  await one.end(intent("a").operationId, { error: error.toJSON() });
  t.deepEqual(other.find(intent("a").operationId), { error: error.toJSON() });
});

test("what is begun at once goes to the disk together", async (t) => {
  const folder = await makeFolder(t);
  await using journal = await folder.open("one");
  await journal.begin(intent("first"));
  const syncs = await countSyncs(async () => {
    await Promise.all(Array.from({ length: 100 }, (_, index) => journal.begin(intent(`number-${index}`))));
  });
  t.true(syncs >= 1 && syncs <= 10, `${syncs} syncs for 100 operations`);
  const [file = ""] = await folder.files();
  const text = await readFile(join(folder.paths.journals, file), "utf8");
  t.is(text.trimEnd().split("\n").length, 101, "and all of it is there");
});

test("what an agent began and did not end is seen by the next, until that one ends it", async (t) => {
  const folder = await makeFolder(t);
  await endLikeKilled(folder.root, "killed", [intent("a"), intent("b", { id: ContainerId.parse("db") })]);
  await using next = await folder.open("next");
  t.deepEqual(
    next.unfinished().map(({ operationId }) => operationId),
    [intent("a").operationId, intent("b").operationId],
  );
  t.deepEqual(
    next.unfinished(web).map(({ id }) => id),
    [web],
  );
  await next.end(intent("a").operationId, { undone: true });
  await using third = await folder.open("third");
  t.deepEqual(
    third.unfinished().map(({ operationId }) => operationId),
    [intent("b").operationId],
  );
});

test("an operation that was undone and is begun again counts as unfinished again", async (t) => {
  const folder = await makeFolder(t);
  let ms = Date.parse("2026-01-01T00:00:00Z");
  const now = () => new Date(ms++);
  await using one = await folder.open("one", now);
  await using other = await folder.open("other", now);
  await one.begin(intent("a"));
  await other.end(intent("a").operationId, { undone: true });
  t.deepEqual(one.unfinished(), []);
  await one.begin(intent("a"));
  t.is(other.unfinished().length, 1);
  await one.end(intent("a").operationId, changed);
  t.deepEqual(other.find(intent("a").operationId), changed);
});

test("a line that a crash or a full disk has torn says nothing, and those before it count", async (t) => {
  const folder = await makeFolder(t);
  await endLikeKilled(folder.root, "killed", [intent("a"), intent("b")]);
  const [file = ""] = await folder.files();
  const path = join(folder.paths.journals, file);
  const text = await readFile(path, "utf8");
  await writeFile(path, text.slice(0, -20));
  await using next = await folder.open("next");
  t.deepEqual(
    next.unfinished().map(({ operationId }) => operationId),
    [intent("a").operationId],
  );
});

test("an agent that looks and changes nothing leaves no file", async (t) => {
  const folder = await makeFolder(t);
  const journal = await folder.open("one");
  journal.unfinished();
  journal.find(intent("a").operationId);
  await journal[Symbol.asyncDispose]();
  t.deepEqual(await folder.files(), []);
});

test("a file goes with its agent once all in it is acknowledged, and else a day later", async (t) => {
  const folder = await makeFolder(t);
  const journal = await folder.open("one");
  await endedBy(journal, "a");
  journal.acknowledge([intent("a").operationId]);
  await journal[Symbol.asyncDispose]();
  t.deepEqual(await folder.files(), []);

  const second = await folder.open("two");
  await endedBy(second, "b");
  await second[Symbol.asyncDispose]();
  t.deepEqual(await folder.files(), ["two.jsonl"]);
  await using soon = await folder.open("three");
  t.deepEqual(soon.find(intent("b").operationId), changed);
  const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1_000);
  await utimes(join(folder.paths.journals, "two.jsonl"), yesterday, yesterday);
  await using _late = await folder.open("four");
  t.deepEqual(await folder.files(), []);
});

test("a file in which something is unfinished stays, however old it is", async (t) => {
  const folder = await makeFolder(t);
  await endLikeKilled(folder.root, "killed", [intent("a")]);
  const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1_000);
  await utimes(join(folder.paths.journals, "killed.jsonl"), yesterday, yesterday);
  await using next = await folder.open("next");
  t.is(next.unfinished().length, 1);
});

/** A real process that begins operations and is killed with SIGKILL. */
async function endLikeKilled(root: string, name: string, intents: Intent[]): Promise<void> {
  const program = join(import.meta.dirname, "killed-journal.ts");
  const { signal: how } = await execa(process.execPath, [program, root, name, JSON.stringify(intents)], {
    reject: false,
    timeout: 60_000,
  });
  if (how !== "SIGKILL") throw new Error("the program did not come to its end");
}

/** How often this process waits for a disk while `act` is done. */
async function countSyncs(act: () => Promise<void>): Promise<number> {
  const { open } = await import("node:fs/promises");
  const handle = await open(import.meta.filename);
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const { datasync } = prototype;
  let count = 0;
  prototype.datasync = function (this: typeof handle) {
    count += 1;
    return datasync.call(this);
  };
  try {
    await act();
  } finally {
    prototype.datasync = datasync;
  }
  return count;
}
