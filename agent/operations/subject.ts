import type { Observed } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { Backend } from "../backends/backend.ts";
import { requireBackend } from "../backends/router.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { Parts } from "./parts.ts";

/** A container as an operation finds it; one that we did not make has no record. */
export type Subject = {
  id: ContainerId;
  backend: Backend;
  before: Observed;
  record: ContainerRecord | undefined;
};

/**
 * The container that an operation is about.
 * @throws {NexcageError} `CONTAINER_NOT_FOUND`, `CONTAINER_NOT_OWNED`, `STATE_CORRUPT`
 */
export async function requireSubject(
  { records, inspector, backends }: Parts,
  id: ContainerId,
  { fleet }: { fleet?: string | undefined },
): Promise<Subject> {
  const before = await inspector.settled(id);
  const record = records.read(id);
  requireOwner(before, fleet);
  return { id, backend: requireBackend(backends, before.backend), before, record };
}

/** @throws {NexcageError} `CONTAINER_NOT_OWNED` */
export function requireOwner(
  found: { id: ContainerId; fleet?: string | undefined; client?: string | undefined },
  fleet: string | undefined,
): void {
  if (fleet === undefined || found.fleet === fleet) return;
  const maker = found.client === undefined ? "was made by hand" : `is ${found.client}'s`;
  const owner = found.fleet === undefined ? maker : `belongs to fleet ${found.fleet}`;
  throw new NexcageError("CONTAINER_NOT_OWNED", `container ${found.id} ${owner}, not to fleet ${fleet}`, {
    hint: "give this fleet's container another name, or delete the other one",
    details: { id: found.id, owner: found.fleet },
  });
}
