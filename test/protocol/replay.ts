/*
 * An older agent: answers what is asked in one session as it was recorded, and knows nothing else. Appends each request
 * to a file: `known` where it was asked then too, in the same words, and `new` the parameters that it had not then.
 *
 *     node replay.ts PROTOCOL SESSION FILE
 */
import { appendFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { type Call, frame, frameReader, lasting, type Message, readRecorded } from "./recorded.ts";

export type Asked = { method: string; known: boolean; new: string[]; params: Record<string, unknown> };

const [protocol = "", session = "", file = ""] = process.argv.slice(2);
const left = [...(readRecorded(protocol).sessions[Number(session)]?.calls ?? [])];

function answer({ id, method, params = {} }: Message): void {
  if (id === undefined || method === undefined) return;
  const at = left.findIndex((call) => call.method === method && hasSaid(params, call.params));
  const [call] = at < 0 ? [] : left.splice(at, 1);
  const fresh = call === undefined ? [] : Object.keys(params).filter((key) => !(key in call.params));
  const asked: Asked = { method, known: call !== undefined, new: fresh, params };
  appendFileSync(file, `${JSON.stringify(asked)}\n`);
  if (call === undefined) {
    const message = `this agent does not know the request ${JSON.stringify(method)}`;
    process.stdout.write(
      frame({ id, error: { code: -32_000, message, data: { code: "PROTOCOL_ERROR", message } } }),
    );
    return;
  }
  for (const { method: told, params: said } of call.told ?? [])
    process.stdout.write(frame({ method: told, params: { ...said, ...idsOf(params) } }));
  process.stdout.write(frame({ id, ...answerOf(call) }));
}

/** Whether all that was said then is said now. */
function hasSaid(now: Record<string, unknown>, then: Record<string, unknown>): boolean {
  return Object.entries(lasting(then) as object).every(([key, value]) =>
    isDeepStrictEqual(lasting(now[key]), value),
  );
}

const idsOf = ({ stream, operationId }: Record<string, unknown>) => ({
  ...(stream !== undefined && { stream }),
  ...(operationId !== undefined && { operationId }),
});

/** What is uploaded goes into a file of this test's, and not to where it was then. */
function answerOf({ method, result, error }: Call): Pick<Call, "result" | "error"> {
  if (error !== undefined) return { error };
  if (method !== "image/begin") return { result };
  return { result: { ...(result as object), path: `${file}.upload` } };
}

const read = frameReader();
process.stdout.write("nexcage-agent serve: ready\n");
process.stdin.on("data", (bytes: Buffer) => read(bytes).forEach(answer));
process.stdin.on("end", () => process.exit(0));
