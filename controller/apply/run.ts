import PQueue from "p-queue";
import type { Observed } from "../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { OperationId } from "../../shared/ids.ts";
import type { Emit } from "../events.ts";
import type { HostAgent, OpenFleet } from "../fleet.ts";
import type { ChangeOutcome } from "../outcome.ts";
import { keyOf, type PlannedChange } from "../plan/model.ts";

export type RunOptions = {
  fleet: string;
  opened: OpenFleet;
  newOperationId: () => OperationId;
  emit: Emit;
  signal: AbortSignal;
};

/**
 * Carries out the changes of a plan: each after those that it waits for, so many at once on a host as it
 * takes. One that fails takes along only what depends on it; a host that is lost, what was still to be
 * done there. Interrupted, it starts nothing more and waits for what is in flight.
 */
export async function runChanges(changes: PlannedChange[], options: RunOptions): Promise<ChangeOutcome[]> {
  const { opened, signal } = options;
  const queues = new Map(
    [...opened.agents].map(([name, agent]) => [name, new PQueue({ concurrency: agent.host.hostParallel })]),
  );
  const outcomes = new Map<string, Promise<ChangeOutcome>>();
  const planned = new Map(changes.map((change) => [keyOf(change), change]));

  const outcomeOf = (change: PlannedChange): Promise<ChangeOutcome> => {
    const key = keyOf(change);
    const known = outcomes.get(key);
    if (known !== undefined) return known;
    const outcome = runAfter(change);
    outcomes.set(key, outcome);
    return outcome;
  };

  async function runAfter(change: PlannedChange): Promise<ChangeOutcome> {
    for (const key of change.after) {
      const first = planned.get(key); // not where its files could not be sent, or its host was never reached
      if (first === undefined || (await outcomeOf(first)).kind !== "done")
        return skip(change, `${key} comes first, and was not done`, options);
    }
    const outcome = await queues.get(change.host)?.add(async () => {
      if (signal.aborted) return skip(change, "interrupted", options);
      const agent = opened.agents.get(change.host);
      return agent === undefined ? undefined : await runChange(change, agent, options);
    });
    return outcome ?? skip(change, `${change.host} could not be reached`, options);
  }

  return await Promise.all(changes.map(outcomeOf));
}

function skip(change: PlannedChange, reason: string, { emit }: RunOptions): ChangeOutcome {
  emit({ kind: "change.skipped", change, reason });
  return { kind: "skipped", change, reason };
}

async function runChange(
  change: PlannedChange,
  agent: HostAgent,
  options: RunOptions,
): Promise<ChangeOutcome> {
  const { emit, opened, newOperationId } = options;
  const operationId = newOperationId();
  emit({ kind: "change.started", change, operationId });
  const startedMs = performance.now();
  try {
    const container = await send(change, agent, { ...options, operationId });
    const durationMs = performance.now() - startedMs;
    emit({ kind: "change.done", change, operationId, container, durationMs });
    return { kind: "done", change, container, durationMs };
  } catch (cause) {
    const error = asNexcageError(cause);
    const durationMs = performance.now() - startedMs;
    emit({ kind: "change.failed", change, operationId, error, durationMs });
    if (error.code === "HOST_UNREACHABLE") await opened.drop(change.host, error);
    return { kind: "failed", change, error, durationMs };
  }
}

/** The one place where a kind of change becomes a request. */
async function send(
  change: PlannedChange,
  agent: HostAgent,
  { fleet, operationId, newOperationId, emit, signal }: RunOptions & { operationId: OperationId },
): Promise<Observed | undefined> {
  const { id, kind, spec, snapshot } = change;
  const operation = { operationId, fleet };
  const request = {
    signal,
    onStep: (step: string) => emit({ kind: "change.step", change, operationId, step }),
  };
  switch (kind) {
    case "create":
    case "replace":
    case "update": {
      if (spec === undefined) throw new NexcageError("INTERNAL", `the plan has no spec for ${keyOf(change)}`);
      if (kind === "update") {
        const { container } = await agent.request(
          "container/update",
          { ...operation, spec, snapshot },
          request,
        );
        if (change.start !== true) return container;
        const start = { operationId: newOperationId(), fleet, id };
        return (await agent.request("container/start", start, request)).container;
      }
      const { storageParallel } = agent.host;
      const make = { ...operation, spec, start: true, storageParallel };
      return (await agent.request(`container/${kind}`, make, request)).container;
    }
    case "start":
    case "stop":
    case "restart":
    case "pause":
    case "resume":
      return (await agent.request(`container/${kind}`, { ...operation, id }, request)).container;
    case "delete":
      return (await agent.request("container/delete", { ...operation, id, force: true }, request)).container;
    case "keep":
      return undefined;
    default:
      return kind satisfies never;
  }
}
