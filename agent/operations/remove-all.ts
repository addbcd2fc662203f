import type { ContainerId } from "../../shared/ids.ts";
import type { Backend } from "../backends/backend.ts";
import type { Parts } from "./parts.ts";

/** All of a container. Its record goes last: what is cut off here is still seen, and finished. */
export async function removeAll(
  { backends, inspector, records }: Parts,
  id: ContainerId,
  step: (name: string) => Promise<void> = async () => {},
): Promise<void> {
  for (const backend of await runningFirst(backends, id)) await backend.delete(id);
  inspector.forget(id);
  await step("forgetting");
  await records.remove(id);
}

/** OCI runtimes have a container's files in one place, which must not go from under what another one runs. */
async function runningFirst(backends: Backend[], id: ContainerId): Promise<Backend[]> {
  const pids = new Map<Backend, number>();
  for (const backend of backends) pids.set(backend, (await backend.observe(id))?.pid ?? 0);
  return backends.toSorted((a, b) => Number(pids.get(a) === 0) - Number(pids.get(b) === 0));
}
