import type { Observed } from "../shared/container.ts";
import type { ContainerId } from "../shared/ids.ts";
import { annotation, type OciState, ociVersion } from "../shared/oci.ts";
import type { BackendName } from "../shared/spec.ts";
import type { Live } from "./backends/backend.ts";
import type { ContainerRecord } from "./state/records.ts";

/**
 * A container of ours as it was seen: what its record and its backend know, in one. `live` is undefined
 * when the backend has no trace of it, as after a reboot. Pure.
 */
export function observedOf(record: ContainerRecord, live: Live | undefined, bundle: string): Observed {
  const drift = live?.drift?.(record.spec) ?? [];
  return {
    id: record.id,
    backend: record.backend,
    state: stateOf(record, live, bundle),
    ...(record.fleet !== undefined && { fleet: record.fleet }),
    spec: record.spec,
    digest: record.digest,
    createdAt: record.createdAt,
    ...(record.startedAt !== undefined && { startedAt: record.startedAt }),
    ...(live?.exit !== undefined && { exit: live.exit }),
    ...(live?.monitor !== undefined && { monitor: live.monitor }),
    ...(drift.length > 0 && { drift }),
  };
}

/** A container that a backend has and that has no record: an OCI client's, or one that is just being made. Pure. */
export function foreignOf(id: ContainerId, backend: BackendName, live: Live): Observed {
  const { client, status, pid } = live;
  const isAnnotated = client !== undefined && Object.keys(client.annotations).length > 0;
  return {
    id,
    backend,
    state: {
      ociVersion,
      id,
      status,
      pid,
      bundle: client?.bundle ?? "/",
      ...(isAnnotated && { annotations: client.annotations }),
    },
    ...(client !== undefined && { client: client.name }),
    ...(client?.createdAt !== undefined && { createdAt: client.createdAt }),
    ...(live.exit !== undefined && { exit: live.exit }),
    ...(live.monitor !== undefined && { monitor: live.monitor }),
  };
}

function stateOf(record: ContainerRecord, live: Live | undefined, bundle: string): OciState {
  const exit = live?.exit;
  const annotations: Record<string, string | undefined> = {
    ...record.spec.labels,
    ...live?.annotations,
    [annotation.backend]: record.backend,
    [annotation.digest]: record.digest,
    [annotation.fleet]: record.fleet,
    [annotation.created]: record.createdAt,
    [annotation.started]: record.startedAt,
    [annotation.finished]: exit?.finishedAt,
    [annotation.exitCode]: exit?.exitCode?.toString(),
    [annotation.exitSignal]: exit?.signal?.toString(),
    [annotation.oomKilled]: exit?.oomKilled?.toString(),
    [annotation.monitor]: live?.monitor === "lost" ? "lost" : undefined,
  };
  return {
    ociVersion,
    id: record.id,
    status: live?.status ?? "stopped",
    pid: live?.pid ?? 0,
    bundle,
    annotations: Object.fromEntries(
      Object.entries(annotations).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  };
}
