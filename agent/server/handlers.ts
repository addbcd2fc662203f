import type { Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { NexcageError } from "../../shared/errors.ts";
import type { OperationId } from "../../shared/ids.ts";
import {
  limits,
  type Method,
  type Notification,
  type NotificationParams,
  type Params,
  protocolVersion,
  type Result,
  shortHelloSince,
} from "../../shared/protocol.ts";
import type { ExecSession, Runtime } from "../runtime.ts";

/** What a handler may use of the session that it answers in. */
export type Call = {
  /** Aborted when the request is cancelled; for what changes nothing, also when the session ends. */
  signal: AbortSignal;
  /** Resolves once the channel has taken it: waiting for it is the flow control of streams. */
  notify: <N extends Notification>(notification: N, params: NotificationParams<N>) => Promise<void>;
};

export type Handlers = { [M in Method]: (params: Params<M>, call: Call) => Promise<Result<M>> };

/** How long a step may be under way untold. */
const progressMs = 100;

/**
 * What a session answers to each method: the runtime's own, with the streams and the fleets' locks of
 * this session, which end with it.
 * @param held locks that it has from its beginning
 */
export function sessionHandlers(
  runtime: Runtime,
  held: ReadonlyMap<string, AsyncDisposable> = new Map(),
): Handlers & AsyncDisposable {
  const locks = new Map(held);
  const execs = new Map<number, Promise<ExecSession>>();

  const exec = async (stream: number): Promise<ExecSession> => {
    const session = execs.get(stream);
    if (session !== undefined) return await session;
    throw new NexcageError("PROTOCOL_ERROR", `no exec has the stream ${stream}`);
  };
  return {
    hello: async ({ protocol }) => {
      requireTalk(protocol);
      // Who speaks an older one takes no hello without what it said then.
      return Number(protocol.split(".")[1]) < shortHelloSince ? await runtime.features() : runtime.hello();
    },

    "fleet/lock": async ({ fleet, holder }, { signal }) => {
      if (!locks.has(fleet)) locks.set(fleet, await runtime.lockFleet(fleet, holder, { signal }));
      return {};
    },
    "fleet/unlock": async ({ fleet }) => {
      await locks.get(fleet)?.[Symbol.asyncDispose]();
      locks.delete(fleet);
      return {};
    },

    "container/list": async (_params, { signal }) => ({ containers: await runtime.list({ signal }) }),
    "container/state": ({ id }, { signal }) => runtime.state(id, { signal }),
    "container/ps": async ({ id }, { signal }) => ({ processes: await runtime.ps(id, { signal }) }),

    "container/create": ({ spec, ...request }, call) =>
      withProgress(request, call, (options) => runtime.create(spec, options)),
    "container/replace": ({ spec, ...request }, call) =>
      withProgress(request, call, (options) => runtime.replace(spec, options)),
    "container/update": ({ spec, ...request }, call) =>
      withProgress(request, call, (options) => runtime.update(spec, options)),
    "container/start": ({ id, ...request }, call) =>
      withProgress(request, call, (options) => runtime.start(id, options)),
    "container/stop": ({ id, ...request }, call) =>
      withProgress(request, call, (options) => runtime.stop(id, options)),
    "container/restart": ({ id, ...request }, call) =>
      withProgress(request, call, (options) => runtime.restart(id, options)),
    "container/pause": ({ id, ...request }, call) =>
      withProgress(request, call, (options) => runtime.pause(id, options)),
    "container/resume": ({ id, ...request }, call) =>
      withProgress(request, call, (options) => runtime.resume(id, options)),
    "container/kill": ({ id, signal: name, ...options }, { signal }) =>
      runtime.kill(id, name, { ...options, signal }),
    "container/delete": ({ id, ...request }, call) =>
      withProgress(request, call, (options) => runtime.delete(id, options)),
    "container/describe": ({ vmids }) => runtime.describe(vmids),
    "container/adopt": ({ spec, ...request }, call) =>
      withProgress(request, call, (options) => runtime.adopt(spec, options)),
    "operation/acknowledge": async ({ operationIds }) => {
      runtime.acknowledge(operationIds);
      return {};
    },

    "container/exec": async ({ id, stream, ...request }, { signal, notify }) => {
      const starting = runtime.exec(id, request, { signal });
      execs.set(stream, starting); // input may come before it has started
      const send = (channel: "stdout" | "stderr") => (data: Buffer) =>
        notify("streamData", { stream, channel, data: data.toString("base64") });
      try {
        await using session = await starting;
        using _ending = onAbort(signal, () => session[Symbol.asyncDispose]());
        await Promise.all([
          pump(session.stdout, send("stdout")),
          session.stderr === undefined ? undefined : pump(session.stderr, send("stderr")),
        ]);
        return await session.exit;
      } finally {
        execs.delete(stream);
      }
    },
    "exec/input": async ({ stream, data, end }) => {
      const { stdin } = await exec(stream);
      if (data !== undefined) await write(stdin, Buffer.from(data, "base64"));
      if (end === true) stdin.end();
      return {};
    },
    "exec/resize": async ({ stream, size }) => {
      await (await exec(stream)).resize(size);
      return {};
    },
    "container/logs": async ({ id, stream, ...request }, { signal, notify }) => {
      for await (const lines of runtime.logs(id, request, { signal }))
        await notify("streamLines", { stream, lines });
      return {};
    },

    "image/missing": async ({ digests }) => ({ digests: await runtime.images.missing(digests) }),
    "image/begin": (params) => runtime.images.begin(params),
    "image/chunk": async ({ upload, offset, data }) => {
      await runtime.images.chunk(upload, offset, Buffer.from(data, "base64"));
      return {};
    },
    "image/commit": async ({ upload }, { signal }) => {
      await runtime.images.commit(upload, { signal });
      return {};
    },
    "image/prune": async () => ({ removed: await runtime.pruneImages() }),

    async [Symbol.asyncDispose]() {
      for (const lock of locks.values()) await lock[Symbol.asyncDispose]();
      locks.clear();
    },
  };
}

/**
 * Runs an operation and tells its step, once it has been there for a moment: most are over before anybody could
 * read of them, and each that is told wakes a controller and two sshds.
 */
async function withProgress<R extends { operationId: OperationId }, T>(
  request: R,
  { signal, notify }: Call,
  act: (options: R & { onStep: (step: string) => void; signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const { operationId } = request;
  let latest = "";
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    timer = undefined;
    // A channel that does not take it is at its end, which the session sees by itself.
    notify("progress", { operationId, step: latest }).catch(() => {});
  };
  const onStep = (step: string): void => {
    latest = step;
    timer ??= setTimeout(tell, progressMs);
  };
  try {
    return await act({ ...request, onStep, signal });
  } finally {
    clearTimeout(timer);
  }
}

/** Acts when the signal is aborted, at once where it is already. What fails is seen by who waits for its effect. */
function onAbort(signal: AbortSignal, act: () => PromiseLike<void>): Disposable {
  const run = (): void => {
    Promise.resolve(act()).catch(() => {});
  };
  signal.addEventListener("abort", run, { once: true });
  if (signal.aborted) run();
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", run) };
}

/** Sends all of a stream, piece by piece, each once the one before is taken. */
async function pump(from: Readable, send: (data: Buffer) => Promise<void>): Promise<void> {
  for await (const chunk of from) {
    const data = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    for (let at = 0; at < data.length; at += limits.chunkBytes)
      await send(data.subarray(at, at + limits.chunkBytes));
  }
}

/** Resolves once the stream has taken the bytes; at once when it is closed: the process reads no more. */
async function write(to: Writable, bytes: Buffer): Promise<void> {
  if (!to.writable) return;
  if (to.write(bytes)) return;
  await Promise.race([new Promise((resolve) => to.once("drain", resolve)), finished(to).catch(() => {})]);
}

/** The same major talks. */
function requireTalk(theirs: string): void {
  const major = protocolVersion.split(".")[0];
  if (theirs.split(".")[0] === major) return;
  throw new NexcageError(
    "PROTOCOL_VERSION",
    `this agent speaks protocol ${protocolVersion}, the controller ${JSON.stringify(theirs)}`,
    { hint: "install the same major version of nexcage and nexcage-agent" },
  );
}
