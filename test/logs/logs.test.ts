import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { type ReadLogsOptions, readLogs } from "../../agent/supervise/logs.ts";
import type { LogLine } from "../../shared/container.ts";

const time = (second: number) =>
  new Date(Date.UTC(2026, 0, 1) + second * 1_000).toISOString().replace("Z", "000000Z");
const line = (number: number, { flag = "F", stream = "stdout" } = {}) =>
  `${time(number)} ${stream} ${flag} line ${number}\n`;
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => line(from + index)).join("");
const numbersIn = (read: LogLine[]) => read.map(({ text }) => Number(text.replace("line ", "")));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

async function logFolder(t: { teardown(fn: () => Promise<void>): void }) {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-logs-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "web.log");
}

const options = (given: Partial<ReadLogsOptions> = {}): ReadLogsOptions => ({
  ended: () => true,
  signal: AbortSignal.timeout(30_000),
  ...given,
});

async function readAll(path: string, given: Partial<ReadLogsOptions> = {}): Promise<LogLine[]> {
  const read: LogLine[] = [];
  for await (const batch of readLogs(path, options(given))) read.push(...batch);
  return read;
}

/** A follower whose container ends when it is told, and what it has read so far. */
function follow(path: string, given: Partial<ReadLogsOptions> = {}) {
  const read: LogLine[] = [];
  let hasEnded = false;
  const done = (async () => {
    const reading = options({ follow: true, ended: () => hasEnded, ...given });
    for await (const batch of readLogs(path, reading)) read.push(...batch);
  })();
  return {
    read,
    /** Looks again and again, as there is no event for what it gave. */
    async until(count: number) {
      const limit = AbortSignal.timeout(20_000);
      while (read.length < count) {
        limit.throwIfAborted();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async end() {
      hasEnded = true;
      await done;
    },
    done,
  };
}

test("lines come with their time, stream and text, and parts of long ones are marked", async (t) => {
  const path = await logFolder(t);
  await writeFile(
    path,
    `${line(1)}${line(2, { flag: "P", stream: "stderr" })}${time(3)} stdout F \n${time(4)} stdout F a  b é\n`,
  );
  t.deepEqual(await readAll(path), [
    { time: time(1), stream: "stdout", text: "line 1" },
    { time: time(2), stream: "stderr", text: "line 2", partial: true },
    { time: time(3), stream: "stdout", text: "" },
    { time: time(4), stream: "stdout", text: "a  b é" },
  ]);
});

test("a log that is not there has no lines", async (t) => {
  t.deepEqual(await readAll(await logFolder(t)), []);
});

test("the rotated file comes before the current one", async (t) => {
  const path = await logFolder(t);
  await writeFile(`${path}.1`, lines(0, 1_000));
  await writeFile(path, lines(1_000, 2_000));
  t.deepEqual(numbersIn(await readAll(path)), range(0, 2_000));
});

test("a line that is not ended yet is not shown", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, line(1) + line(2).slice(0, -3));
  t.deepEqual(numbersIn(await readAll(path)), [1]);
});

const tails: { title: string; tail: number; older: number; current: number; is: number[] }[] = [
  { title: "is at the end of the current file", tail: 3, older: 10, current: 10, is: [17, 18, 19] },
  { title: "reaches into the rotated file", tail: 12, older: 10, current: 10, is: range(8, 20) },
  { title: "is exactly the current file", tail: 10, older: 10, current: 10, is: range(10, 20) },
  { title: "is all where there is less", tail: 100, older: 10, current: 10, is: range(0, 20) },
  { title: "of none is none", tail: 0, older: 10, current: 10, is: [] },
  {
    title: "reaches over many blocks",
    tail: 30_000,
    older: 20_000,
    current: 20_000,
    is: range(10_000, 40_000),
  },
  { title: "is found where the current file is empty", tail: 2, older: 10, current: 0, is: [8, 9] },
];
for (const { title, tail, older, current, is } of tails)
  test(`the tail ${title}`, async (t) => {
    const path = await logFolder(t);
    await writeFile(`${path}.1`, lines(0, older));
    await writeFile(path, lines(older, older + current));
    t.deepEqual(numbersIn(await readAll(path, { tail })), is);
  });

test("the tail counts a line of several parts as one, and shows all its parts", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, line(0) + line(1, { flag: "P" }) + line(2, { flag: "P" }) + line(3) + line(4));
  t.deepEqual(numbersIn(await readAll(path, { tail: 2 })), [1, 2, 3, 4]);
});

test("lines since a time are those, and what is older is left out", async (t) => {
  const path = await logFolder(t);
  await writeFile(`${path}.1`, lines(0, 10));
  await writeFile(path, lines(10, 20));
  t.deepEqual(numbersIn(await readAll(path, { since: "2026-01-01T00:00:08Z" })), range(8, 20));
  t.deepEqual(numbersIn(await readAll(path, { since: "2026-01-01T00:00:08Z", tail: 3 })), range(17, 20));
});

test("a large log is read in bounded pieces, and its tail without the rest", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, lines(0, 20_000));
  await truncate(path, 4 * 1024 ** 3); // a hole: to read it would take minutes
  await appendFile(path, `\n${lines(0, 5)}`);
  const started = performance.now();
  t.deepEqual(numbersIn(await readAll(path, { tail: 5 })), range(0, 5));
  t.true(performance.now() - started < 2_000);

  await writeFile(path, lines(0, 50_000));
  let batches = 0;
  for await (const batch of readLogs(path, options())) {
    batches += 1;
    t.true(batch.length <= (256 * 1024) / line(0).length);
  }
  t.true(batches > 5);
});

test("a follower sees what is written, and ends when the container has ended and all is read", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, lines(0, 3));
  const follower = follow(path);
  await follower.until(3);
  await appendFile(path, lines(3, 5));
  await follower.until(5);
  await appendFile(path, lines(5, 7));
  await follower.end();
  t.deepEqual(numbersIn(follower.read), range(0, 7));
});

test("a follower waits for a log that is not there yet", async (t) => {
  const path = await logFolder(t);
  const follower = follow(path);
  await writeFile(path, line(0));
  await follower.until(1);
  await follower.end();
  t.deepEqual(numbersIn(follower.read), [0]);
});

test("a follower waits for the end of a line, and for one that its monitor took back", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, line(0) + line(1).slice(0, 20));
  const follower = follow(path);
  await follower.until(1);
  await appendFile(path, line(1).slice(20));
  await follower.until(2);
  await appendFile(path, "2026-01-01T00:00:02.000000000Z stdout F taken ba");
  await truncate(path, (line(0) + line(1)).length);
  await appendFile(path, line(2));
  await follower.until(3);
  await follower.end();
  t.deepEqual(numbersIn(follower.read), [0, 1, 2]);
});

test("a follower shows the torn line of a monitor that was killed once all has ended", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, line(0) + line(1).slice(0, -1));
  const follower = follow(path);
  await follower.end();
  t.deepEqual(numbersIn(follower.read), [0, 1]);
});

test("a follower with a tail begins there", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, lines(0, 10));
  const follower = follow(path, { tail: 2 });
  await follower.until(2);
  await appendFile(path, lines(10, 12));
  await follower.end();
  t.deepEqual(numbersIn(follower.read), range(8, 12));
});

test("a follower neither loses nor doubles a line when the log is rotated again and again", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, "");
  const follower = follow(path);
  for (let round = 0; round < 40; round += 1) {
    await appendFile(path, lines(round * 100, round * 100 + 99));
    await appendFile(path, line(round * 100 + 99));
    await rename(path, `${path}.1`);
    await writeFile(path, "");
    await follower.until(round * 100 + 1); // it has the file: now it may be removed
  }
  await follower.end();
  t.deepEqual(numbersIn(follower.read), range(0, 4_000));
});

test("a follower that is one rotation behind reads the file that it had not seen", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, lines(0, 10));
  let hasEnded = false;
  const reading = readLogs(path, options({ follow: true, ended: () => hasEnded }));
  const first = await reading.next();
  await appendFile(path, lines(10, 20));
  for (const [from, to] of [
    [20, 30],
    [30, 40],
  ] as const) {
    await rename(path, `${path}.1`);
    await writeFile(path, lines(from, to));
  }
  hasEnded = true;
  const read = [...(first.value ?? [])];
  for await (const batch of reading) read.push(...batch);
  t.deepEqual(numbersIn(read), range(0, 40));
});

test("a follower that is cancelled ends at once, without an error", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, line(0));
  const controller = new AbortController();
  const follower = follow(path, { signal: controller.signal });
  await follower.until(1);
  controller.abort();
  await follower.done;
  t.deepEqual(numbersIn(follower.read), [0]);
});

test("what is no line of a monitor is shown as it is", async (t) => {
  const path = await logFolder(t);
  await writeFile(path, `${line(0)}something else\n${line(1)}`);
  t.deepEqual(
    (await readAll(path)).map(({ text }) => text),
    ["line 0", "something else", "line 1"],
  );
});
