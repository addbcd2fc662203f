import { setTimeout as sleep } from "node:timers/promises";
import type { LockHolder, LogLine, Observed } from "../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { ContainerId, OperationId } from "../../shared/ids.ts";
import type { Emit } from "../events.ts";
import type { HostAgent, OpenFleet } from "../fleet.ts";
import type { Fleet } from "../inventory/model.ts";
import type { ChangeOutcome, FleetOutcome } from "../outcome.ts";
import { describeExit } from "../plan/exit.ts";
import { changing, type Desired, keyOf, type Plan, type PlannedChange } from "../plan/model.ts";
import { lockHosts } from "./lock.ts";
import { runChanges } from "./run.ts";
import { type LocalImage, uploadMissing } from "./upload.ts";

export type ApplyOptions = {
  fleet: Fleet;
  opened: OpenFleet;
  holder: LockHolder;
  lockWaitMs: number;
  /** The specs with the digests of their images, and the images' bytes. */
  desired: Desired[];
  images: LocalImage[];
  /** Turns what was observed into the plan; pure. */
  plan: (observed: Map<string, Observed[]>) => Plan;
  /** Shows the plan and asks where it must; throws to stop here. */
  confirm: (plan: Plan) => Promise<void>;
  newOperationId: () => OperationId;
  /** What ends within so long of its start, in ms, is told as having failed to start. */
  settleMs?: number;
  emit: Emit;
  signal: AbortSignal;
};

/**
 * Makes the hosts as the files say. The fleet's lock is held from before the hosts are looked at until
 * the end, so that what the plan shows is what is done.
 * @throws {NexcageError} `LOCK_HELD`, or what `confirm` throws; failures of single hosts and containers
 * are in the outcome
 */
export async function apply(options: ApplyOptions): Promise<FleetOutcome & { plan: Plan }> {
  const { fleet, opened, emit, signal } = options;
  await lockHosts(opened, {
    fleet: fleet.name,
    holder: options.holder,
    waitMs: options.lockWaitMs,
    emit,
    signal,
  });
  const plan = options.plan(await listContainers(opened, { signal }));
  await options.confirm(plan);
  const changes = plan.changes.filter(({ kind }) => changing.has(kind));
  if (changes.length === 0) return { plan, changes: [], unreachable: opened.unreachable, interrupted: false };

  const { ready, failed } = await uploadImages(changes, options);
  const outcomes = [...failed, ...(await runChanges(ready, { ...options, fleet: fleet.name }))];
  const settled = signal.aborted ? outcomes : await reportEarlyExits(outcomes, options);
  if (!signal.aborted) await pruneImages([...opened.agents.values()], { signal });
  return { plan, changes: settled, unreachable: opened.unreachable, interrupted: signal.aborted };
}

/** What is on each host. One that does not answer is dropped from the fleet, and fails alone. */
export async function listContainers(
  opened: OpenFleet,
  { signal }: { signal: AbortSignal },
): Promise<Map<string, Observed[]>> {
  const observed = new Map<string, Observed[]>();
  await Promise.all(
    [...opened.agents].map(async ([name, agent]) => {
      try {
        observed.set(name, (await agent.request("container/list", {}, { signal })).containers);
      } catch (cause) {
        signal.throwIfAborted();
        await opened.drop(name, asNexcageError(cause));
      }
    }),
  );
  return observed;
}

/** Sends each host its images first; where that fails, what needs them fails, and the rest goes on. */
async function uploadImages(
  changes: PlannedChange[],
  { opened, images, emit, signal }: ApplyOptions,
): Promise<{ ready: PlannedChange[]; failed: ChangeOutcome[] }> {
  const byDigest = new Map<string, LocalImage>(images.map((image) => [image.digest, image]));
  const imageOf = ({ kind, spec }: PlannedChange): LocalImage | undefined =>
    (kind === "create" || kind === "replace") && spec?.source.kind === "image"
      ? byDigest.get(spec.source.digest)
      : undefined;
  const failures = new Map<string, NexcageError>();
  await Promise.all(
    [...opened.agents.values()].map(async (agent) => {
      const host = agent.host.name;
      const needed = new Set(
        changes.filter((change) => change.host === host).flatMap((c) => imageOf(c) ?? []),
      );
      try {
        await uploadMissing(agent, [...needed], { emit, signal });
      } catch (cause) {
        failures.set(host, asNexcageError(cause));
      }
    }),
  );
  const failed = changes.flatMap((change): ChangeOutcome[] => {
    const error = failures.get(change.host);
    if (error === undefined || imageOf(change) === undefined) return [];
    emit({ kind: "change.failed", change, error, durationMs: 0 });
    return [{ kind: "failed", change, error, durationMs: 0 }];
  });
  const gone = new Set(failed.map(({ change }) => change));
  return { ready: changes.filter((change) => !gone.has(change)), failed };
}

const lastLines = 10;

/**
 * Looks once more at what was started: a container that ended at once, and not with 0, has failed, and
 * its last lines say why.
 */
async function reportEarlyExits(
  outcomes: ChangeOutcome[],
  { opened, emit, settleMs = 500, signal }: ApplyOptions,
): Promise<ChangeOutcome[]> {
  const started = outcomes.filter(
    (outcome) => outcome.kind === "done" && ["create", "replace", "start"].includes(outcome.change.kind),
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

async function pruneImages(agents: HostAgent[], { signal }: { signal: AbortSignal }): Promise<void> {
  // What stays behind now is removed by the next apply; it is no failure of this one.
  await Promise.allSettled(agents.map((agent) => agent.request("image/prune", {}, { signal })));
}
