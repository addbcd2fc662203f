import { readFile, writeFile } from "node:fs/promises";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import type { ContainerId, OperationId } from "../../shared/ids.ts";
import type { HostAgent, OpenFleet } from "../fleet.ts";
import type { Wanted } from "../inventory/model.ts";
import { type Entry, entriesFor, wantedAs } from "./entries.ts";
import { withContainers } from "./yaml.ts";

type Waiting = { signal: AbortSignal };

/** @throws {NexcageError} `USAGE` where several are meant, or the host's own where it cannot be reached */
export function requireOneHost({ opened }: { opened: OpenFleet }, host: string): HostAgent {
  const [failure] = opened.unreachable.values();
  if (failure !== undefined) throw failure;
  const [agent] = opened.agents.values();
  if (agent !== undefined && opened.agents.size === 1) return agent;
  throw new NexcageError("USAGE", `${host} is not one host`, { hint: "guests are adopted host by host" });
}

/**
 * What the fleet does not have yet of these guests.
 * @throws {NexcageError} `CONTAINER_NOT_FOUND`, and what {@link entriesFor} throws
 */
export async function describeGuests(
  agent: HostAgent,
  {
    vmids,
    signal,
    ...options
  }: Waiting & { vmids: number[]; template: string | undefined; wanted: readonly Wanted[] },
): Promise<Entry[]> {
  const found = await agent.request("container/describe", { vmids }, { signal });
  return entriesFor(found, { ...options, host: agent.host.name });
}

/**
 * Adds them to the fleet's file, and reads it again; a file that then has mistakes is put back as it was.
 * @throws {NexcageError} `USAGE`, `INVALID_FILE`
 */
export async function writeEntries(
  entries: readonly Entry[],
  { file, host, load }: { file: string; host: string; load: () => Promise<readonly Wanted[]> },
): Promise<readonly Wanted[]> {
  const before = await readFile(file, "utf8").catch((error: unknown) => {
    if (!hasCode(error, "ENOENT")) throw error;
    throw new NexcageError("USAGE", `--write ${file}: there is no such file`, {
      hint: "name the fleet's file",
      cause: error,
    });
  });
  await writeFile(file, withContainers(before, entries, { file, host }));
  try {
    const wanted = await load();
    const missing = entries.find(({ vmid }) => wantedAs(vmid, { host, wanted }) === undefined);
    if (missing === undefined) return wanted;
    throw new NexcageError("USAGE", `--write ${file}: it is not one of the files that are read`, {
      hint: `read it too: -f ${file}`,
    });
  } catch (error) {
    await writeFile(file, before);
    throw error;
  }
}

/**
 * Marks the guests as this fleet's, each as the files have it.
 * @throws {NexcageError} `SPEC_REFUSED` where that is not as it is
 */
export async function adoptGuests(
  agent: HostAgent,
  options: Waiting & {
    vmids: readonly number[];
    wanted: readonly Wanted[];
    fleet: string;
    newOperationId: () => OperationId;
  },
): Promise<{ id: ContainerId; vmid: number; changed: boolean }[]> {
  const { vmids, wanted, fleet, newOperationId, signal } = options;
  const adopted: { id: ContainerId; vmid: number; changed: boolean }[] = [];
  for (const vmid of vmids) {
    const one = wantedAs(vmid, { host: agent.host.name, wanted });
    if (one === undefined) continue;
    const { id, spec } = one;
    const { source } = spec;
    if (source.kind === "rootfs")
      throw new NexcageError("SPEC_REFUSED", `${id}: a guest that is adopted has a template, and no rootfs`);
    const operation = { operationId: newOperationId(), fleet, vmid, spec: { ...spec, source } };
    const { changed } = await agent.request("container/adopt", operation, { signal });
    adopted.push({ id, vmid, changed });
  }
  return adopted;
}
