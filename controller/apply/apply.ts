import type { LockHolder, Observed } from "../../shared/container.ts";
import { asNexcageError, type NexcageError } from "../../shared/errors.ts";
import type { OperationId } from "../../shared/ids.ts";
import type { Emit } from "../events.ts";
import type { HostAgent, OpenFleet } from "../fleet.ts";
import type { Fleet } from "../inventory/model.ts";
import { listContainers } from "../list.ts";
import type { ChangeOutcome, FleetOutcome } from "../outcome.ts";
import { changing, type Desired, type Plan, type PlannedChange } from "../plan/model.ts";
import { reportEarlyExits } from "./early-exits.ts";
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
  if (signal.aborted) return { plan, changes: outcomes, unreachable: opened.unreachable, interrupted: true };
  const [settled] = await Promise.all([
    reportEarlyExits(outcomes, options),
    pruneImages([...opened.agents.values()], { signal }),
  ]);
  return { plan, changes: settled, unreachable: opened.unreachable, interrupted: signal.aborted };
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

async function pruneImages(agents: HostAgent[], { signal }: { signal: AbortSignal }): Promise<void> {
  // What stays behind now is removed by the next apply; it is no failure of this one.
  await Promise.allSettled(agents.map((agent) => agent.request("image/prune", {}, { signal })));
}
