import { NexcageError } from "../../shared/errors.ts";
import { destructive, keyOf, type Plan, type Refused } from "./model.ts";

/** What cannot be done to what is refused, and what its user can do. */
const refusals: Record<Refused["kind"], { cannot: string; hint: string }> = {
  taken: { cannot: "made", hint: "call the container otherwise, or remove what is there by hand" },
  shrink: {
    cannot: "changed",
    hint: "leave the size as it is, or delete the container first: its files are lost",
  },
  vmid: {
    cannot: "replaced",
    hint: "leave out vmid: it is made beside the old one, and gets another number",
  },
  lacks: { cannot: "made", hint: "name what the host has, or give it what it lacks" },
  move: { cannot: "changed", hint: "leave the storage as it is" },
};

/**
 * Stops a plan that would destroy more than it may, before anything is done: what is protected, more than
 * `limits.max_destroy`, or a wanted container that cannot be had.
 * @throws {NexcageError} `REFUSED`, with everything that stands in the way
 */
export function requireWithinLimits(plan: Plan, { maxDestroy }: { maxDestroy?: number | undefined }): void {
  const protectedOnes = plan.changes.filter(({ kind, protect }) => protect === true && destructive.has(kind));
  const destroyed = plan.changes.filter(({ kind }) => destructive.has(kind));
  const isTooMuch = maxDestroy !== undefined && destroyed.length > maxDestroy;

  const reasons = [
    ...protectedOnes.map((change) => `${keyOf(change)} is protected, and the plan would ${change.kind} it`),
    ...plan.refused.map(
      (noted) => `${keyOf(noted)} cannot be ${refusals[noted.kind].cannot}: ${noted.reason}`,
    ),
    ...(isTooMuch
      ? [`the plan replaces or deletes ${destroyed.length} containers, and max_destroy is ${maxDestroy}`]
      : []),
  ];
  if (reasons.length === 0) return;
  const hints = [
    ...(protectedOnes.length > 0 ? ["take protect: true away"] : []),
    ...new Set(plan.refused.map(({ kind }) => refusals[kind].hint)),
    ...(isTooMuch ? ["raise limits.max_destroy, or select less"] : []),
  ];
  throw new NexcageError("REFUSED", reasons.join("\n"), {
    hint: `if it is meant: ${hints.join("; ")}`,
    details: {
      protected: protectedOnes.map(keyOf),
      refused: plan.refused.map(({ host, id, reason }) => ({ host, id, reason })),
      ...(isTooMuch && { maxDestroy, destroyed: destroyed.map(keyOf) }),
    },
  });
}
