import type { Readable, Writable } from "node:stream";
import { type CancellationToken, ResponseError } from "vscode-jsonrpc/node";
import { openConnection } from "../../shared/connection.ts";
import type { Observed } from "../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import { FrameGuard } from "../../shared/framing.ts";
import { errorCode, limits, type Method, mark, methods, type Result } from "../../shared/protocol.ts";
import type { Runtime } from "../runtime.ts";
import { noteUnrepeatable } from "../state/readings.ts";
import { type Call, type Handlers, sessionHandlers } from "./handlers.ts";

export type SessionOptions = {
  input: Readable;
  output: Writable;
  /** Opening it may take a while (recovery); `hello` waits for that alone. */
  runtime: Runtime;
  /** Ends the session as if the other end had gone. */
  signal: AbortSignal;
  /** How long the other end may say nothing, in ms. */
  silenceMs?: number;
  /** Of one that others have begun: whether its hello is answered, and which fleets' locks are held for it. */
  begun?: { isGreeted: boolean; locks: ReadonlyMap<string, AsyncDisposable> } | undefined;
  /** Told what it has answered to `container/list`. */
  onListed?: ((containers: Observed[]) => void) | undefined;
};

/** Requests that only watch: of no use to anybody once the session has ended, while changes are finished. */
const watching: ReadonlySet<Method> = new Set(["container/exec", "container/logs"]);
/** After any other request what is answered may come from more than what can be read on this host. */
const repeatable: ReadonlySet<Method> = new Set(["hello", "fleet/lock", "fleet/unlock", "container/list"]);

/**
 * Speaks the protocol over two streams until the other end closes, falls silent, or says what is no
 * protocol. Then lets the changes in flight finish (their results are in the journal), ends what only
 * watched, releases the session's locks, and returns.
 * @throws {NexcageError} `PROTOCOL_ERROR`, `FRAME_TOO_LARGE`: what came in was no frame of ours
 */
export async function serveSession(options: SessionOptions): Promise<void> {
  const { input, output, runtime, silenceMs = limits.silenceMs, begun, onListed } = options;
  const ended = Promise.withResolvers<NexcageError | undefined>();
  const watchers = new AbortController();
  const inFlight = new Set<Promise<unknown>>();

  output.on("error", () => ended.resolve(undefined)); // EPIPE: the other end is gone
  if (begun === undefined) output.write(mark);
  const connection = openConnection({
    input,
    output,
    guard: new FrameGuard({ garbageCode: "PROTOCOL_ERROR" }),
    onEnd: ended.resolve,
  });
  // Async, because a closed connection throws at once.
  const notify: Call["notify"] = async (notification, params) =>
    await connection.sendNotification(notification, params);

  await using handlers: Handlers & AsyncDisposable = sessionHandlers(runtime, begun?.locks);
  let greeted = begun?.isGreeted ?? false;

  async function answer(method: string, params: unknown, token: CancellationToken): Promise<unknown> {
    if (!isMethod(method))
      throw new NexcageError(
        "PROTOCOL_ERROR",
        `this agent does not know the request ${JSON.stringify(method)}`,
      );
    if (inFlight.size >= limits.requestsInFlight)
      throw new NexcageError("TOO_MANY_REQUESTS", `${inFlight.size} requests are in flight already`);
    const parsed = methods[method].params.safeParse(params);
    if (!parsed.success)
      throw new NexcageError("PROTOCOL_ERROR", `${method}: ${issueText(parsed.error.issues)}`);
    if (method === "hello") greeted = true;
    else if (!greeted) throw new NexcageError("PROTOCOL_ERROR", `${method} came before hello`);

    const cancelled = new AbortController();
    token.onCancellationRequested(() => cancelled.abort());
    const signal = watching.has(method)
      ? AbortSignal.any([cancelled.signal, watchers.signal])
      : cancelled.signal;
    // The table pairs each method's schema with its handler; TypeScript cannot see that through a union.
    const handler = handlers[method] as (params: unknown, call: Call) => Promise<unknown>;
    if (!repeatable.has(method)) noteUnrepeatable();
    const result = await handler(parsed.data, { signal, notify });
    if (method === "container/list") onListed?.((result as Result<"container/list">).containers);
    return result;
  }

  connection.onRequest(async (method, params, token) => {
    const answering = answer(method, params, token);
    inFlight.add(answering);
    try {
      return await answering;
    } catch (error) {
      const known = asNexcageError(error);
      return new ResponseError(errorCode, known.message, known.toJSON());
    } finally {
      inFlight.delete(answering);
    }
  });
  connection.onNotification(() => {}); // heartbeats: that bytes came is all they say
  connection.listen();

  const stopWatching = watchSilence(input, silenceMs, () => ended.resolve(undefined));
  options.signal.addEventListener("abort", () => ended.resolve(undefined), { once: true });
  const error = await ended.promise;
  stopWatching();
  watchers.abort();
  await Promise.allSettled(inFlight);
  // What was answered last may still be on its way to a controller that reads on.
  await Promise.race([new Promise((resolve) => output.end(resolve)), onceClosed(output)]);
  connection.dispose();
  if (error !== undefined) throw error;
}

function isMethod(method: string): method is Method {
  return Object.hasOwn(methods, method);
}

function issueText(issues: { path: PropertyKey[]; message: string }[]): string {
  return issues.map(({ path, message }) => `${path.join(".") || "params"}: ${message}`).join("; ");
}

/** Calls `onSilence` once when nothing has come in for so long; gives the function that stops watching. */
function watchSilence(input: Readable, silenceMs: number, onSilence: () => void): () => void {
  const timer = setTimeout(onSilence, silenceMs);
  const heard = (): void => {
    timer.refresh();
  };
  input.on("data", heard);
  return () => {
    clearTimeout(timer);
    input.off("data", heard);
  };
}

function onceClosed(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (output.destroyed) resolve();
    else output.once("close", resolve).once("error", () => resolve());
  });
}
