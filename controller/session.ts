import type { Readable, Writable } from "node:stream";
import { CancellationTokenSource, ConnectionError, ErrorCodes, ResponseError } from "vscode-jsonrpc/node";
import { openConnection } from "../shared/connection.ts";
import type { Hello, LogLine } from "../shared/container.ts";
import { asNexcageError, NexcageError } from "../shared/errors.ts";
import { FrameGuard } from "../shared/framing.ts";
import {
  ErrorData,
  errorCode,
  limits,
  type Method,
  mark,
  methods,
  notifications,
  type Params,
  parametersSince,
  protocolVersion,
  type Result,
  sinceMinor,
} from "../shared/protocol.ts";
import { version } from "../shared/version.ts";
import { untilAborted } from "./abort.ts";

/** An agent's stdio, however it was reached. */
export type AgentChannel = {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** Settles when the agent has ended or the connection is gone; then with its error. */
  exited: Promise<{
    code?: number | undefined;
    signal?: string | undefined;
    error?: NexcageError | undefined;
  }>;
  destroy(): void;
};

export type RequestOptions = {
  signal: AbortSignal;
  /** The steps of a change, as they are reached. */
  onStep?: ((step: string) => void) | undefined;
};

/** What takes a stream's pieces; while its promise is pending, nothing more is read from the agent. */
export type StreamSink = {
  onData?(channel: "stdout" | "stderr", data: Buffer): void | Promise<void>;
  onLines?(lines: LogLine[]): void | Promise<void>;
};

/** One agent, greeted: requests go to it until it is closed or lost. */
export interface AgentSession extends AsyncDisposable {
  readonly hello: Hello;
  /**
   * @throws {NexcageError} the agent's own; `AGENT_LOST` or `CONNECTION_LOST` when it ended before it
   * answered: a change may or may not have happened, and is safe to send again under the same id
   */
  request<M extends Method>(method: M, params: Params<M>, options: RequestOptions): Promise<Result<M>>;
  /** A number for `container/exec` and `container/logs`, and who takes what comes under it. */
  openStream(sink: StreamSink): number;
  /** Settles when the session has ended: with why, unless it was closed by us. */
  readonly closed: Promise<NexcageError | undefined>;
}

/**
 * Greets the agent behind a channel, waiting `helloTimeoutMs` for it at most.
 * @throws {NexcageError} `AGENT_MISSING`, `AGENT_GARBAGE`, `PROTOCOL_VERSION`, `TIMED_OUT`, `AGENT_LOST`
 */
export async function openSession(
  channel: AgentChannel,
  options: {
    host: string;
    /** The program that was started there, for messages. */
    agentPath: string;
    signal: AbortSignal;
    helloTimeoutMs?: number;
    onLog?: (line: string) => void;
  },
): Promise<AgentSession> {
  const { host, agentPath, signal, helloTimeoutMs = 15_000, onLog = () => {} } = options;
  const closed = Promise.withResolvers<NexcageError | undefined>();
  let end: { error: NexcageError | undefined } | undefined;
  const endWith = (error: NexcageError | undefined): void => {
    end ??= { error };
    closed.resolve(end.error);
  };
  const stderr = keepTail(channel.stderr, onLog);
  let preamble = "";
  let closing = false;

  const connection = openConnection({
    input: channel.stdout,
    output: channel.stdin,
    guard: new FrameGuard({
      mark,
      garbageCode: "AGENT_GARBAGE",
      onPreamble: (text) => {
        preamble = text;
        for (const line of text.split("\n")) if (line.trim() !== "") onLog(line);
      },
    }),
    onEnd: (error) => {
      void finish(error); // it cannot fail: all it waits for settles
    },
  });
  channel.stdin.on("error", () => {}); // its end is seen on stdout, and by `exited`

  async function finish(error: NexcageError | undefined): Promise<void> {
    // What is no protocol ends the session; else how the agent ended says most.
    if (error !== undefined && error.code !== "CONNECTION_LOST") {
      channel.destroy();
      endWith(describeGarbage(error, { host, agentPath }));
      return;
    }
    const exit = await channel.exited;
    endWith(closing ? undefined : describeExit(exit, { host, agentPath, stderr: stderr(), preamble }));
  }
  channel.exited.then(() => finish(undefined)).catch(() => {});

  let nextStream = 1;
  const streams = new Map<number, StreamSink>();
  const steps = new Map<string, (step: string) => void>();
  const deliver = async (work: void | Promise<void>): Promise<void> => {
    if (work === undefined) return;
    channel.stdout.pause();
    await work.finally(() => channel.stdout.resume());
  };
  connection.onNotification("streamData", async (params: unknown) => {
    const { stream, channel: name, data } = notifications.streamData.parse(params);
    await deliver(streams.get(stream)?.onData?.(name, Buffer.from(data, "base64")));
  });
  connection.onNotification("streamLines", async (params: unknown) => {
    const { stream, lines } = notifications.streamLines.parse(params);
    await deliver(streams.get(stream)?.onLines?.(lines));
  });
  connection.onNotification("progress", (params: unknown) => {
    const { operationId, step } = notifications.progress.parse(params);
    steps.get(operationId)?.(step);
  });
  connection.listen();

  const heartbeat = setInterval(() => {
    // A dead channel ends the session by itself; until it has, this may fail, at once or later.
    Promise.try(() => connection.sendNotification("heartbeat", {})).catch(() => {});
  }, limits.heartbeatMs);
  closed.promise.then(() => {
    clearInterval(heartbeat);
    connection.dispose();
  });

  async function request<M extends Method>(
    method: M,
    params: Params<M>,
    { signal, onStep }: RequestOptions,
  ): Promise<Result<M>> {
    signal.throwIfAborted();
    const cancellation = new CancellationTokenSource();
    const cancel = (): void => cancellation.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    const operationId = "operationId" in params ? params.operationId : undefined;
    if (operationId !== undefined && onStep !== undefined) steps.set(operationId, onStep);
    try {
      // Nobody else rejects what is pending when a channel ends.
      const answer: unknown = await Promise.race([
        connection.sendRequest(method, params, cancellation.token),
        closed.promise.then(() => {
          throw new NexcageError("CONNECTION_LOST", "");
        }),
      ]);
      return parseResult(method, answer, host);
    } catch (error) {
      // What a closed connection says of itself is less than why it was.
      if (error instanceof ConnectionError || channelErrors.has(codeOf(error))) await closed.promise;
      if (end !== undefined)
        throw end.error ?? new NexcageError("CONNECTION_LOST", `the session with ${host} was closed`);
      throw requestError(error, host);
    } finally {
      signal.removeEventListener("abort", cancel);
      if (operationId !== undefined) steps.delete(operationId);
    }
  }

  // Nobody waits for the agent: the end of its stdin ends it, once what is in flight is safe.
  const close = async (): Promise<void> => {
    closing = true;
    channel.stdin.end();
    channel.destroy();
    endWith(undefined);
  };

  try {
    const hello = AbortSignal.timeout(helloTimeoutMs);
    const said = await untilAborted(
      request(
        "hello",
        { protocol: protocolVersion, controllerVersion: version },
        { signal: AbortSignal.any([signal, hello]) },
      ),
      AbortSignal.any([signal, hello]),
    ).catch((error: unknown) => {
      if (!hello.aborted) throw error;
      throw new NexcageError(
        "TIMED_OUT",
        `the agent on ${host} did not answer hello within ${helloTimeoutMs / 1_000} s`,
        { hint: `by hand: ssh ${host} ${agentPath} features` },
      );
    });
    requireTalk(said.protocol, host);
    return {
      hello: said,
      request: async (method, params, options) => {
        requireMethod({ method, params }, said.protocol, host);
        return await request(method, params, options);
      },
      openStream(sink) {
        const stream = nextStream++;
        streams.set(stream, sink);
        return stream;
      },
      closed: closed.promise,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    closing = true;
    channel.destroy();
    endWith(undefined);
    throw error;
  }
}

/** What vscode-jsonrpc says when it could not write to the agent, or was ended while it waited. */
const channelErrors = new Set<unknown>([ErrorCodes.MessageWriteError, ErrorCodes.PendingResponseRejected]);

function codeOf(error: unknown): number | undefined {
  return error instanceof ResponseError ? error.code : undefined;
}

function requireTalk(theirs: string, host: string): void {
  if (theirs.split(".")[0] === protocolVersion.split(".")[0]) return;
  throw new NexcageError(
    "PROTOCOL_VERSION",
    `the agent on ${host} speaks protocol ${theirs}, this nexcage ${protocolVersion}`,
    { hint: `nexcage fleet bootstrap --limit ${host}; or install the nexcage of the agent's version here` },
  );
}

/** An agent of an older minor knows no method that came after it, and passes over a parameter that did. */
function requireMethod(
  { method, params }: { method: Method; params: object },
  theirs: string,
  host: string,
): void {
  const sent = Object.entries(params).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  const needed: [string, number][] = [
    [method, sinceMinor[method] ?? 0],
    ...sent.map((key): [string, number] => [`${key} of ${method}`, parametersSince[method]?.[key] ?? 0]),
  ];
  for (const [what, minor] of needed) {
    if (Number(theirs.split(".")[1]) >= minor) continue;
    const [major] = protocolVersion.split(".");
    throw new NexcageError(
      "PROTOCOL_VERSION",
      `the agent on ${host} speaks protocol ${theirs}, and ${what} came with ${major}.${minor}`,
      { hint: `nexcage fleet bootstrap --limit ${host}` },
    );
  }
}

function parseResult<M extends Method>(method: M, answer: unknown, host: string): Result<M> {
  const parsed = methods[method].result.safeParse(answer);
  if (parsed.success) return parsed.data as Result<M>; // the table pairs method and schema
  const [issue] = parsed.error.issues;
  throw new NexcageError(
    "AGENT_GARBAGE",
    `the agent on ${host} answered ${method} with what is no answer: ${issue?.path.join(".")} ${issue?.message}`,
  );
}

function requestError(error: unknown, host: string): NexcageError {
  if (!(error instanceof ResponseError)) return asNexcageError(error);
  const data = error.code === errorCode ? ErrorData.safeParse(error.data) : undefined;
  if (data?.success === true) return new NexcageError(data.data.code, data.data.message, data.data);
  return new NexcageError("PROTOCOL_ERROR", `the agent on ${host}: ${error.message}`, { cause: error });
}

function describeGarbage(error: NexcageError, at: { host: string; agentPath: string }): NexcageError {
  return new NexcageError(error.code, `${at.host}: ${error.message}`, {
    hint: `what answers there should be an agent: ssh ${at.host} ${at.agentPath} version`,
    cause: error,
  });
}

function describeExit(
  exit: Awaited<AgentChannel["exited"]>,
  at: { host: string; agentPath: string; stderr: string; preamble: string },
): NexcageError {
  const { host, agentPath } = at;
  if (exit.error !== undefined) return exit.error;
  const said = (at.stderr || at.preamble).trim().split("\n").at(-1) ?? "";
  if (exit.code === 127 || (exit.code === 126 && said !== ""))
    return new NexcageError("AGENT_MISSING", `${host} has no agent at ${agentPath}${said && `: ${said}`}`, {
      hint: `nexcage fleet bootstrap --limit ${host}; or say where it is: agent: {path: …} in the inventory`,
    });
  const how =
    exit.signal !== undefined
      ? `was killed by ${exit.signal}`
      : `ended with exit code ${exit.code ?? "unknown"}`;
  return new NexcageError("AGENT_LOST", `the agent on ${host} ${how}${said && `: ${said}`}`, {
    hint: "run it again: what was in flight is finished or undone first",
    details: { ...exit, stderr: at.stderr },
  });
}

/** Logs a stream line by line, and keeps its last 4 KiB. */
function keepTail(stream: Readable, onLog: (line: string) => void): () => string {
  let tail = "";
  let line = "";
  stream.on("error", () => {});
  stream.setEncoding("utf8").on("data", (text: string) => {
    tail = (tail + text).slice(-4_096);
    const lines = (line + text).split("\n");
    line = lines.pop() ?? "";
    for (const whole of lines) onLog(whole);
  });
  return () => tail;
}
