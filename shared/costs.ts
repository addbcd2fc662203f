import { canonicalJson } from "./digest.ts";
import type { BackendName, ContainerSpec } from "./spec.ts";

/** What a changed field costs: nothing is interrupted, the container restarts, or it is made anew. */
export type Cost = "hot" | "restart" | "recreate";

/** The fields that a spec can change in; `resources` one by one, since they are set one by one. */
export type SpecField =
  | Exclude<keyof ContainerSpec, "id" | "resources">
  | `resources.${"cpus" | "memoryBytes" | "pids"}`;

/**
 * The one table of what a change costs, read by the plan and by the backends. On libcrun only what the
 * kernel's control groups and our own record hold can change while the container lives.
 */
export const costs: Record<BackendName, Record<SpecField, Cost>> = {
  crun: {
    runtime: "recreate",
    source: "recreate",
    command: "recreate",
    environment: "recreate",
    user: "recreate",
    workingDir: "recreate",
    hostname: "recreate",
    mounts: "recreate",
    readOnly: "recreate",
    capAdd: "recreate",
    capDrop: "recreate",
    "resources.cpus": "hot",
    "resources.memoryBytes": "hot",
    "resources.pids": "hot",
    labels: "hot",
    stopSignal: "hot",
    stopGracePeriodMs: "hot",
  },
};

/** One field of a spec, before and after; undefined where it is not said. */
export type FieldChange = { field: SpecField; old: unknown; new: unknown; cost: Cost };

/** The fields in which two specs of one container differ, in the order of the table. Pure. */
export function changedFields(before: ContainerSpec, after: ContainerSpec): FieldChange[] {
  const table = costs[after.runtime];
  return (Object.keys(table) as SpecField[]) // its own type
    .map((field) => ({ field, old: fieldOf(before, field), new: fieldOf(after, field), cost: table[field] }))
    .filter((change) => canonicalJson(change.old ?? null) !== canonicalJson(change.new ?? null));
}

function fieldOf(spec: ContainerSpec, field: SpecField): unknown {
  switch (field) {
    case "resources.cpus":
      return spec.resources?.cpus;
    case "resources.memoryBytes":
      return spec.resources?.memoryBytes;
    case "resources.pids":
      return spec.resources?.pids;
    default:
      return spec[field];
  }
}

/** The dearest of several changes; undefined when there is none. */
export function dearest(changes: FieldChange[]): Cost | undefined {
  const order: Cost[] = ["recreate", "restart", "hot"];
  return order.find((cost) => changes.some((change) => change.cost === cost));
}
