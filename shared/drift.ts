import * as z from "zod";
import type { ContainerSpec } from "./spec.ts";

/** A field of a container that is not as its spec says, since somebody else has changed it. */
export const Drift = z.object({
  /** As shared/costs.ts has it: `resources.memoryBytes`. */
  field: z.string(),
  /** What it is; none where it is not there any more. */
  observed: z.unknown().optional(),
});
export type Drift = z.infer<typeof Drift>;

/** The spec as what is there would have it. Pure. */
export function withDrift(spec: ContainerSpec, drift: readonly Drift[]): ContainerSpec {
  let seen: Record<string, unknown> = spec;
  for (const { field, observed } of drift) seen = withField(seen, field.split("."), observed);
  return seen as ContainerSpec; // only compared and shown: what was observed may be what no spec could say
}

function withField(
  fields: Readonly<Record<string, unknown>>,
  [head = "", ...rest]: string[],
  value: unknown,
): Record<string, unknown> {
  if (rest.length === 0) return { ...fields, [head]: value };
  const inner = fields[head];
  const inside = typeof inner === "object" && inner !== null ? { ...inner } : {};
  return { ...fields, [head]: withField(inside, rest, value) };
}
