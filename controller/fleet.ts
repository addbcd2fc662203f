import { setTimeout as sleep } from "node:timers/promises";
import PQueue from "p-queue";
import type { Hello, LockHolder } from "../shared/container.ts";
import { asNexcageError, type ErrorCode, NexcageError } from "../shared/errors.ts";
import type { ContainerId } from "../shared/ids.ts";
import { limits, type Method, type Params, type Result } from "../shared/protocol.ts";
import { formatDuration } from "../shared/units.ts";
import { untilAborted } from "./abort.ts";
import type { Emit } from "./events.ts";
import type { Host } from "./inventory/model.ts";
import { type AgentSession, openSession, type RequestOptions, type StreamSink } from "./session.ts";
import type { Transport } from "./transport.ts";

/** How a host is reached; tests pass one that needs no network. */
export type Connect = (host: Host, options: { signal: AbortSignal }) => Promise<Transport>;

export type FleetOptions = {
  connect: Connect;
  /** Hosts at once. */
  forks: number;
  emit: Emit;
  signal: AbortSignal;
  /** How long a host that was lost is tried again before it is given up, in ms. */
  reconnectMs?: number;
  /** How long to wait before each try, in ms. */
  retryMs?: number;
};

/** The hosts of a command: those whose agent answers, and those that could not be reached, with why. */
export type OpenFleet = AsyncDisposable & {
  agents: Map<string, HostAgent>;
  unreachable: Map<string, NexcageError>;
  /** Goes on without a host whose agent was reached, and answers no more. */
  drop(host: string, error: NexcageError): Promise<void>;
};

/** Opens one connection and one agent on each host. A host that cannot be reached fails alone. */
export async function openFleet(hosts: Host[], options: FleetOptions): Promise<OpenFleet> {
  const { forks, emit, signal } = options;
  const agents = new Map<string, HostAgent>();
  const unreachable = new Map<string, NexcageError>();
  const queue = new PQueue({ concurrency: forks });
  await Promise.all(
    hosts.map((host) =>
      queue.add(async () => {
        const agent = new HostAgent(host, options);
        try {
          await agent.open();
          agents.set(host.name, agent);
        } catch (cause) {
          await agent[Symbol.asyncDispose]();
          const error = asNexcageError(cause);
          unreachable.set(host.name, error);
          emit({ kind: "host.unreachable", host: host.name, error });
        }
      }),
    ),
  );
  const fleet: OpenFleet = {
    agents,
    unreachable,
    async drop(host, error) {
      const agent = agents.get(host);
      if (!agents.delete(host)) return;
      unreachable.set(host, error);
      emit({ kind: "host.unreachable", host, error });
      await agent?.[Symbol.asyncDispose]();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...agents.values()].map((agent) => agent[Symbol.asyncDispose]()));
    },
  };
  if (signal.aborted) {
    await fleet[Symbol.asyncDispose]();
    signal.throwIfAborted();
  }
  return fleet;
}

/** What an agent answers at once; what takes longer than `command_timeout` hangs. */
const quick: ReadonlySet<Method> = new Set([
  "fleet/lock",
  "fleet/unlock",
  "container/list",
  "container/state",
  "container/ps",
  "container/describe",
  "image/missing",
  "image/begin",
]);

/** After these the agent, or the way to it, is gone, and what was asked may or may not have happened. */
const lost: ReadonlySet<ErrorCode> = new Set(["AGENT_LOST", "CONNECTION_LOST"]);
/** While a host comes back, these say no more than "not yet". */
const comingBack: ReadonlySet<ErrorCode> = new Set([...lost, "HOST_UNREACHABLE", "TIMED_OUT"]);
/** An agent that is lost so often over one request is lost because of it. */
const maxLosses = 3;

type Link = { transport: Transport; session: AgentSession };

/**
 * The agent on one host for the length of a command. When it is lost it is started again, with the lock
 * that it held, and what was asked is asked again: changes carry operation ids, so they happen once. A
 * host that does not come back is given up once for all: whatever else is asked of it fails at once.
 */
export class HostAgent implements AsyncDisposable {
  readonly host: Host;
  readonly #options: FleetOptions;
  /** What all requests share; once rejected it stays so. */
  #link: Promise<Link> | undefined;
  #hello: Hello | undefined;
  #lock: { fleet: string; holder: LockHolder } | undefined;
  readonly #acknowledged: Params<"operation/acknowledge">["operationIds"] = [];
  /** The fleet of each container that the host has, as its answers have told; undefined before the first list. */
  seen: Map<ContainerId, string | undefined> | undefined;

  constructor(host: Host, options: FleetOptions) {
    this.host = host;
    this.#options = options;
  }

  get hello(): Hello {
    if (this.#hello !== undefined) return this.#hello;
    throw new NexcageError("INTERNAL", `the agent on ${this.host.name} was not opened`);
  }

  /** Connects, starts the agent and greets it. */
  async open(): Promise<void> {
    const { emit } = this.#options;
    const startedMs = performance.now();
    emit({ kind: "host.connecting", host: this.host.name });
    const { session } = await this.#linked();
    this.#hello = session.hello;
    const durationMs = performance.now() - startedMs;
    emit({ kind: "host.ready", host: this.host.name, hello: session.hello, durationMs });
  }

  /**
   * Asks the agent, through as many connections as it takes.
   * @throws {NexcageError} the agent's own; `HOST_UNREACHABLE` when it was lost and did not come back,
   * `AGENT_LOST` or `CONNECTION_LOST` when it came back and was lost again over the same request
   */
  async request<M extends Method>(method: M, params: Params<M>, options: RequestOptions): Promise<Result<M>> {
    for (let losses = 1; ; losses += 1) {
      const link = this.#linked();
      const { session } = await untilAborted(link, options.signal);
      try {
        const result = await this.#ask(session, method, params, options);
        if ("operationId" in params) this.#acknowledged.push(params.operationId);
        this.#note(params, result);
        return result;
      } catch (cause) {
        const error = asNexcageError(cause);
        if (!lost.has(error.code) || losses === maxLosses || options.signal.aborted) throw error;
        // Of all whose request was lost with this link, the first one replaces it.
        if (this.#link === link) this.#link = this.#reconnect(link, error);
      }
    }
  }

  #note(params: Params<Method>, result: Result<Method>): void {
    if ("containers" in result) this.seen = new Map(result.containers.map(({ id, fleet }) => [id, fleet]));
    if (!("changed" in result)) return;
    if (result.container !== undefined) this.seen?.set(result.container.id, result.container.fleet);
    else if ("id" in params) this.seen?.delete(params.id);
  }

  /** Runs a request whose output is a stream; it is not sent again when the agent is lost. */
  async stream<M extends "container/exec" | "container/logs">(
    method: M,
    params: Omit<Params<M>, "stream">,
    options: RequestOptions & {
      sink: StreamSink;
      onStream?: (stream: number, session: AgentSession) => void;
    },
  ): Promise<Result<M>> {
    const { session } = await untilAborted(this.#linked(), options.signal);
    const stream = session.openStream(options.sink);
    const request = { ...params, stream } as Params<M>; // what Omit took out is put back
    const answer = session.request(method, request, options);
    options.onStream?.(stream, session);
    return await answer;
  }

  /** @returns false where the transport cannot write there */
  async upload(
    localPath: string,
    remotePath: string,
    options: Parameters<Transport["upload"]>[2],
  ): Promise<boolean> {
    const { transport } = await untilAborted(this.#linked(), options.signal);
    return await transport.upload(localPath, remotePath, options);
  }

  /**
   * Takes the fleet's lock on this host, for as long as this agent is open.
   * @throws {NexcageError} `LOCK_HELD` at once, its `details.holder` who holds it
   */
  async lock(fleet: string, holder: LockHolder, options: RequestOptions): Promise<void> {
    await this.request("fleet/lock", { fleet, holder }, options);
    this.#lock = { fleet, holder };
  }

  async unlock(options: RequestOptions): Promise<void> {
    if (this.#lock === undefined) return;
    const { fleet } = this.#lock;
    this.#lock = undefined;
    await this.request("fleet/unlock", { fleet }, options);
  }

  /** Gives back the lock, lets the agent forget the results that have arrived, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    try {
      const { transport, session } = await link;
      const signal = AbortSignal.timeout(5_000);
      const operationIds = this.#acknowledged.splice(0);
      const { fleet } = this.#lock ?? {};
      // Without an answer the lock ends with the agent, and the journal's entries after a day.
      await Promise.allSettled([
        fleet !== undefined && session.request("fleet/unlock", { fleet }, { signal }),
        operationIds.length > 0 && session.request("operation/acknowledge", { operationIds }, { signal }),
      ]);
      await session[Symbol.asyncDispose]();
      await transport[Symbol.asyncDispose]();
    } catch {
      // It never opened or was given up, which was reported where it failed.
    }
  }

  /** @throws {NexcageError} `TIMED_OUT` where the answer should have come at once, and did not */
  async #ask<M extends Method>(
    session: AgentSession,
    method: M,
    params: Params<M>,
    options: RequestOptions,
  ): Promise<Result<M>> {
    const answer = session.request(method, params, options);
    if (!quick.has(method)) return await answer;
    const { name, commandTimeoutMs } = this.host;
    const timer = new AbortController();
    try {
      return await Promise.race([
        answer,
        sleep(commandTimeoutMs, undefined, { signal: timer.signal }).then(() => {
          throw new NexcageError(
            "TIMED_OUT",
            `the agent on ${name} did not answer ${method} within ${formatDuration(commandTimeoutMs)}`,
            { hint: `is the host busy? command_timeout in the inventory is how long it may take` },
          );
        }),
      ]);
    } finally {
      timer.abort();
      answer.catch(() => {}); // it ends with its session, and nobody waits for it
    }
  }

  #linked(): Promise<Link> {
    this.#link ??= this.#connect();
    return this.#link;
  }

  async #connect(): Promise<Link> {
    const { connect, emit, retryMs = 250, signal } = this.#options;
    const { name, agentPath } = this.host;
    await using undo = new AsyncDisposableStack();
    const transport = undo.use(await connect(this.host, { signal }));
    const channel = await transport.openAgent([agentPath, "serve", "--stdio"], { signal });
    const session = undo.use(
      await openSession(channel, {
        host: name,
        agentPath,
        signal,
        onLog: (line) => emit({ kind: "host.log", host: name, line }),
      }),
    );
    if (this.#lock !== undefined) await relock(session, this.#lock, { host: name, retryMs, signal });
    undo.move();
    return { transport, session };
  }

  /** @throws {NexcageError} `HOST_UNREACHABLE` when the host is given up */
  async #reconnect(broken: Promise<Link>, why: NexcageError): Promise<Link> {
    const { emit, reconnectMs = 60_000, retryMs = 250, signal } = this.#options;
    const { name } = this.host;
    emit({ kind: "host.lost", host: name, error: why });
    const deadline = performance.now() + reconnectMs;
    await (await broken).transport[Symbol.asyncDispose]();
    for (;;) {
      await sleep(retryMs * (1 + Math.random()), undefined, { signal });
      try {
        const link = await this.#connect();
        emit({ kind: "host.back", host: name });
        return link;
      } catch (cause) {
        const error = asNexcageError(cause);
        if (comingBack.has(error.code) && performance.now() < deadline) continue;
        throw new NexcageError(
          "HOST_UNREACHABLE",
          `${name} was lost (${why.message}) and did not come back: ${error.message}`,
          {
            hint: "what was done there stays done, what was cut off is mended by the next apply",
            cause: error,
          },
        );
      }
    }
  }
}

/** Takes a lock again that we held ourselves: the lost agent gives it up once it has noticed its silence. */
async function relock(
  session: AgentSession,
  lock: { fleet: string; holder: LockHolder },
  { host, retryMs, signal }: { host: string; retryMs: number; signal: AbortSignal },
): Promise<void> {
  const deadline = performance.now() + limits.silenceMs + 10_000;
  for (;;) {
    try {
      await session.request("fleet/lock", lock, { signal });
      return;
    } catch (cause) {
      const error = asNexcageError(cause);
      if (error.code !== "LOCK_HELD") throw error;
      if (performance.now() > deadline)
        throw new NexcageError(
          "LOCK_HELD",
          `the lock on ${host} was lost with the connection: ${error.message}`,
          {
            details: error.details,
            cause: error,
          },
        );
      await sleep(retryMs, undefined, { signal });
    }
  }
}
