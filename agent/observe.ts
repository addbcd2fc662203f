import type { Observed } from "../shared/container.ts";
import { annotation, type OciState, ociVersion } from "../shared/oci.ts";
import type { Backend, Live } from "./backends/backend.ts";
import type { ContainerRecord } from "./state/records.ts";

/** The annotations in state JSON that only this agent reads: which process the pid was. */
const startTicksAnnotation = "io.nexcage.pid-start-ticks";

/** The process that a state file says the init is; undefined where it names none. */
export function knownProcess(state: OciState | undefined): { pid: number; startTicks: string } | undefined {
  const startTicks = state?.annotations?.[startTicksAnnotation];
  if (state === undefined || startTicks === undefined || state.pid === 0 || state.status !== "running")
    return undefined;
  return { pid: state.pid, startTicks };
}

/**
 * The OCI state of a container as it was observed: what its record and its backend know, in one. What
 * `before` said of its start stays true while the process is the same. Pure.
 */
export function stateOf(options: {
  record: ContainerRecord;
  live: Live | undefined;
  bundle: string;
  before: OciState | undefined;
  startedAt?: string | undefined;
}): OciState {
  const { record, live, bundle, before } = options;
  const exit = live?.exit;
  const startedAt = options.startedAt ?? before?.annotations?.[annotation.started];
  const annotations: Record<string, string | undefined> = {
    ...record.spec.labels,
    [annotation.backend]: record.backend,
    [annotation.digest]: record.digest,
    [annotation.created]: record.createdAt,
    [annotation.fleet]: record.fleet,
    [annotation.started]: startedAt,
    [annotation.finished]: exit?.finishedAt,
    [annotation.exitCode]: exit?.exitCode?.toString(),
    [annotation.exitSignal]: exit?.signal?.toString(),
    [annotation.oomKilled]: exit?.oomKilled === true ? "true" : undefined,
    [annotation.monitor]: live?.monitor === "lost" ? "lost" : undefined,
    [startTicksAnnotation]: live?.startTicks,
  };
  return {
    ociVersion,
    id: record.id,
    status: live?.status ?? "stopped",
    pid: live?.pid ?? 0,
    bundle,
    annotations: Object.fromEntries(
      Object.entries(annotations).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  };
}

/** What is told of a container that has a record. Pure. */
export function observedOf(record: ContainerRecord, state: OciState, live: Live | undefined): Observed {
  const startedAt = state.annotations?.[annotation.started];
  return {
    id: record.id,
    backend: record.backend,
    state,
    ...(record.fleet !== undefined && { fleet: record.fleet }),
    spec: record.spec,
    digest: record.digest,
    createdAt: record.createdAt,
    ...(startedAt !== undefined && { startedAt }),
    ...(live?.exit !== undefined && { exit: live.exit }),
    ...(live?.monitor !== undefined && { monitor: live.monitor }),
  };
}

/** What is told of a container that a backend has and we did not make. Pure. */
export function foreignOf(id: Observed["id"], backend: Backend["name"], live: Live): Observed {
  return {
    id,
    backend,
    state: { ociVersion, id, status: live.status, pid: live.pid, bundle: "/" },
  };
}
