import { NexcageError } from "../../shared/errors.ts";
import { destructive, keyOf, type Plan } from "./model.ts";

/**
 * Stops a plan that would destroy more than it may, before anything is done: what is protected, more than
 * `limits.max_destroy`, or what another owner has under the id of a wanted container.
 * @throws {NexcageError} `REFUSED`, with everything that stands in the way
 */
export function requireWithinLimits(plan: Plan, { maxDestroy }: { maxDestroy?: number | undefined }): void {
  const protectedOnes = plan.changes.filter(({ kind, protect }) => protect === true && destructive.has(kind));
  const destroyed = plan.changes.filter(({ kind }) => destructive.has(kind));
  const isTooMuch = maxDestroy !== undefined && destroyed.length > maxDestroy;

  const reasons = [
    ...protectedOnes.map((change) => `${keyOf(change)} is protected, and the plan would ${change.kind} it`),
    ...plan.refused.map((noted) => `${keyOf(noted)} cannot be made: ${noted.reason}`),
    ...(isTooMuch
      ? [`the plan replaces or deletes ${destroyed.length} containers, and max_destroy is ${maxDestroy}`]
      : []),
  ];
  if (reasons.length === 0) return;
  const hints = [
    ...(protectedOnes.length > 0 ? ["take protect: true away"] : []),
    ...(plan.refused.length > 0 ? ["call the container otherwise, or remove what is there by hand"] : []),
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
