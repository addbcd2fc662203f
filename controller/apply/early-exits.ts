import { setTimeout as sleep } from "node:timers/promises";
import type { LogLine, Observed } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { Emit } from "../events.ts";
import type { HostAgent, OpenFleet } from "../fleet.ts";
import { listContainers } from "../list.ts";
import type { ChangeOutcome } from "../outcome.ts";
import { describeExit } from "../plan/exit.ts";
import { keyOf } from "../plan/model.ts";

export type EarlyExitOptions = {
  opened: OpenFleet;
  emit: Emit;
  /** What ends within so long of its start, in ms, is told as having failed to start. */
  settleMs?: number | undefined;
  signal: AbortSignal;
};

const lastLines = 10;

/**
 * Looks once more at what was started: a container that ended at once, and not with 0, has failed, and
 * its last lines say why.
 */
export async function reportEarlyExits(
  outcomes: ChangeOutcome[],
  { opened, emit, settleMs = 300, signal }: EarlyExitOptions,
): Promise<ChangeOutcome[]> {
  const started = outcomes.filter(
    (outcome) =>
      outcome.kind === "done" && ["create", "replace", "start", "restart"].includes(outcome.change.kind),
  );
  if (started.length === 0) return outcomes;
  await sleep(settleMs, undefined, { signal }).catch(() => {});
  const observed = await listContainers(opened, { signal }).catch(() => undefined);
  if (observed === undefined) return outcomes; // interrupted: what was done stays told
  const now = new Map(
    [...observed].flatMap(([host, list]) =>
      list.map((container) => [keyOf({ host, id: container.id }), container]),
    ),
  );
  return await Promise.all(
    outcomes.map(async (outcome): Promise<ChangeOutcome> => {
      if (!started.includes(outcome) || outcome.kind !== "done") return outcome;
      const container = now.get(keyOf(outcome.change));
      if (container === undefined || container.state.status !== "stopped" || container.exit?.exitCode === 0)
        return { ...outcome, container: container ?? outcome.container };
      const agent = opened.agents.get(outcome.change.host);
      const lines =
        agent === undefined ? [] : await lastLogLines(agent, container.id, { signal }).catch(() => []);
      const error = exitedError(container, outcome.change.host, lines);
      const { change, durationMs } = outcome;
      emit({ kind: "change.failed", change, error, durationMs });
      return { kind: "failed", change, error, durationMs };
    }),
  );
}

/** The last lines that a container wrote. */
async function lastLogLines(
  agent: HostAgent,
  id: ContainerId,
  { signal }: { signal: AbortSignal },
): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  const sink = { onLines: (more: LogLine[]) => void lines.push(...more) };
  await agent.stream("container/logs", { id, tail: lastLines }, { signal, sink });
  return lines;
}

function exitedError(container: Observed, host: string, lines: LogLine[]): NexcageError {
  const last = lines.map(({ text }) => text);
  return new NexcageError(
    "CONTAINER_EXITED",
    `${container.id} on ${host} ended right after its start with ${describeExit(container.exit)}`,
    {
      hint: `all that it wrote: nexcage fleet logs ${container.id}@${host}`,
      details: { ...container.exit, lastLines: last },
    },
  );
}
