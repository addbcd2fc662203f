import type { LogLine } from "../../shared/container.ts";

/*
 * The lines of a log as monitors write them (CRI's format): `TIME stdout|stderr F|P TEXT`, where P says
 * that the line goes on in the next one. Pure.
 */

const newline = 0x0a;
const line = /^(\S+) (stdout|stderr) ([FP]) (.*)$/s;

/** The whole lines at the beginning of `bytes`, and how many bytes they are. */
export function parseLines(bytes: Buffer): { lines: LogLine[]; bytes: number } {
  const end = bytes.lastIndexOf(newline) + 1;
  const texts = bytes.toString("utf8", 0, end).split("\n").slice(0, -1);
  return { lines: texts.map(parseLine), bytes: end };
}

/** A line without its end. What is in no format, after a crash of the host, is shown as it is. */
export function parseLine(text: string): LogLine {
  const [, time, stream, flag, rest] = line.exec(text) ?? [];
  if (time === undefined || rest === undefined) return { time: "", stream: "stderr", text };
  return {
    time,
    stream: stream === "stdout" ? "stdout" : "stderr",
    text: rest,
    ...(flag === "P" && { partial: true }),
  };
}

/**
 * Walks back over the whole lines in `bytes`, which begins anywhere, until `count` lines have ended after
 * `start` (those that go on are one with what follows them). `isAll`: there are not so many in here, and
 * `start` is where the first whole line begins.
 */
export function walkBack(bytes: Buffer, count: number, { beginsALine }: { beginsALine: boolean }) {
  const firstEnd = bytes.indexOf(newline);
  const first = beginsALine ? 0 : firstEnd === -1 ? bytes.length : firstEnd + 1;
  let end = bytes.lastIndexOf(newline) + 1;
  let found = 0;
  while (end > first) {
    // From two bytes before: the one before is this line's own end.
    const start = end < 2 ? 0 : bytes.lastIndexOf(newline, end - 2) + 1;
    if (!isPartial(bytes.subarray(start, end))) {
      if (found === count) return { start: end, found, isAll: false };
      found += 1;
    }
    end = start;
  }
  return { start: first, found, isAll: true };
}

function isPartial(bytes: Buffer): boolean {
  return / (?:stdout|stderr) P $/.test(headOf(bytes));
}

/** Up to the text: a time, the stream and the flag. */
function headOf(bytes: Buffer): string {
  return /^\S+ \S+ \S /.exec(bytes.toString("latin1", 0, 64))?.[0] ?? "";
}
