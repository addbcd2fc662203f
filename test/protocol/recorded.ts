import { readFileSync } from "node:fs";
import { join } from "node:path";

/*
 * What an older nexcage and an older agent have said to each other, as they were built then: `recorded/VERSION.ndjson`,
 * made by `record.ts`: a line about it, then one a session. Nothing here knows today's protocol but for its frames.
 */

type Params = Record<string, unknown>;

export type Told = { method: string; params: Params };

/** A request, what came of it, and what the agent told meanwhile. */
export type Call = {
  method: string;
  params: Params;
  result?: unknown;
  error?: { code: number; message: string; data?: { code: string } };
  told?: Told[];
};

/** One command, in one session. */
export type Session = {
  words: string[];
  /** The containers of the fleet's file. */
  containers: Record<string, object>;
  exitCode: number;
  calls: Call[];
};

export type Recorded = {
  protocol: string;
  /** Of what it was built. */
  commit: string;
  /** The image of its containers: a tar, gzipped, in base64. Its one program says hello, and stays if it has no arguments. */
  image: string;
  sessions: Session[];
};

export const recordedProtocols = ["1.1", "1.2"];

export function readRecorded(protocol: string): Recorded {
  const file = join(import.meta.dirname, "recorded", `${protocol}.ndjson`);
  const [head, ...sessions] = readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { ...head, sessions };
}

export type Message = { id?: number; method?: string; params?: Params } & Pick<Call, "result" | "error">;

export function frame(message: object): string {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  return `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Takes bytes as they come, and gives the messages that are whole; text before the first frame is passed over. */
export function frameReader(): (bytes: Buffer) => Message[] {
  let held = Buffer.alloc(0);
  return (bytes) => {
    held = Buffer.concat([held, bytes]);
    const messages: Message[] = [];
    for (;;) {
      const found = /Content-Length: (\d+)\r\n\r\n/.exec(held.toString("latin1"));
      if (found === null) return messages;
      const start = found.index + found[0].length;
      const end = start + Number(found[1]);
      if (held.length < end) return messages;
      messages.push(JSON.parse(held.subarray(start, end).toString()));
      held = held.subarray(end);
    }
  };
}

/** What differs between two runs of the same command, by the names under which it stands anywhere. */
const volatile = new Set([
  ...["operationId", "operationIds", "stream", "holder", "upload", "controllerVersion", "protocol"],
]);

/** A value without what differs from run to run. */
export function lasting(value: unknown, without: ReadonlySet<string> = volatile): unknown {
  if (Array.isArray(value)) return value.map((one) => lasting(one, without));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) => (without.has(key) ? [] : [[key, lasting(one, without)]])),
  );
}
