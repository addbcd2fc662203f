import PQueue from "p-queue";
import { asNexcageError, exitCodes, type NexcageError } from "../../shared/errors.ts";
import type { Emit } from "../events.ts";
import type { Connect } from "../fleet.ts";
import type { Host } from "../inventory/model.ts";
import type { Transport } from "../transport.ts";

export type OnHostsOptions = {
  connect: Connect;
  /** Hosts at once. */
  forks: number;
  emit: Emit;
  signal: AbortSignal;
};

/** How work on one host ended. */
export type HostOutcome<T> = { host: string; durationMs: number } & (
  | { kind: "done"; value: T }
  | { kind: "failed"; error: NexcageError }
);

/** Does some work on each host over a connection of its own, in the hosts' order. One that fails fails alone. */
export async function onHosts<T>(
  hosts: Host[],
  { connect, forks, emit, signal }: OnHostsOptions,
  work: (host: Host, transport: Transport) => Promise<T>,
): Promise<HostOutcome<T>[]> {
  const queue = new PQueue({ concurrency: forks });
  return await queue.addAll(
    hosts.map((host) => async (): Promise<HostOutcome<T>> => {
      const startedMs = performance.now();
      const about = () => ({ host: host.name, durationMs: performance.now() - startedMs });
      try {
        signal.throwIfAborted();
        emit({ kind: "host.connecting", host: host.name });
        await using transport = await connect(host, { signal });
        const value = await work(host, transport);
        emit({ kind: "agent.ended", ...about() });
        return { kind: "done", value, ...about() };
      } catch (cause) {
        const error = asNexcageError(cause);
        if (error.exitCode === exitCodes.HOST_UNREACHABLE)
          emit({ kind: "host.unreachable", host: host.name, error });
        else emit({ kind: "agent.ended", error, ...about() });
        return { kind: "failed", error, ...about() };
      }
    }),
  );
}
