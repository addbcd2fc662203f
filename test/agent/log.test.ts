import test from "ava";
import { type LogEntry, logLine } from "../../agent/log-line.ts";
import { NexcageError } from "../../shared/errors.ts";

const time = new Date("2026-11-28T09:05:07.089Z");
const inUse = new NexcageError("LOCK_HELD", "container web is in use");

const lines: { title: string; entry: Omit<LogEntry, "time">; line: string }[] = [
  {
    title: "plain values stand as they are",
    entry: { level: "info", text: "image removed", fields: { digest: "sha256:ab", pid: 7, isUndone: true } },
    line: "INFO  image removed digest=sha256:ab pid=7 isUndone=true",
  },
  {
    title: "what has spaces, quotes, = or nothing in it is quoted",
    entry: { level: "debug", text: "x", fields: { way: "kill(2) of 5", is: "a=b", said: '"', empty: "" } },
    line: String.raw`DEBUG x way="kill(2) of 5" is="a=b" said="\"" empty=""`,
  },
  {
    title: "lists and objects are JSON, and what is undefined is left out",
    entry: {
      level: "warn",
      text: "x",
      fields: { arguments: ["a b", "c"], at: { vmid: 5 }, none: undefined },
    },
    line: 'WARN  x arguments=["a b","c"] at={"vmid":5}',
  },
  {
    title: "an error is its words and its code",
    entry: { level: "error", text: "x", fields: { err: inUse, other: new Error("EIO") } },
    line: 'ERROR x err="container web is in use [LOCK_HELD]" other=EIO',
  },
  {
    title: "what a guest has named makes no second line, and steers no terminal",
    entry: { level: "info", text: "x", fields: { a: "1\n2", b: "\u001b[2J", c: "\u009b2J" } },
    line: String.raw`INFO  x a="1\n2" b="\u001b[2J" c="\u009b2J"`,
  },
];
for (const { title, entry, line } of lines)
  test(`a log line as text: ${title}`, (t) => {
    t.is(logLine({ time, ...entry }), `2026-11-28T09:05:07.089Z ${line}`);
  });
