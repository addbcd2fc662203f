import type { Observed } from "../../shared/container.ts";
import { defaultRootfsBytes } from "../../shared/spec.ts";
import { formatSize } from "../../shared/units.ts";
import { wordOf } from "./fields.ts";
import type { Desired, PlannedChange, Refused } from "./model.ts";

/** Why what is there under a wanted id keeps it from being made; undefined where it is this fleet's own. */
export function refusalOfId(
  { id, host, place }: Desired,
  there: Observed | undefined,
  { fleet }: { fleet: string },
): Refused | undefined {
  if (there === undefined || there.fleet === fleet) return undefined;
  const owner = there.fleet === undefined ? "belongs to no fleet" : `belongs to fleet "${there.fleet}"`;
  return { kind: "taken", id, host, reason: `what is there ${owner}`, place };
}

/** Why a change cannot be carried out: a file system that holds files is not made smaller. */
export function refusalOfChange({ id, host, kind, fields, place }: PlannedChange): Refused | undefined {
  const size = fields.find(({ field }) => field === "proxmox.rootfsBytes");
  if (kind !== "update" || size === undefined) return undefined;
  const before = rootfsBytesOf(size.old);
  const after = rootfsBytesOf(size.new);
  if (after >= before) return undefined;
  const reason = `${wordOf(size)} cannot shrink: ${formatSize(before)} → ${formatSize(after)}`;
  return { kind: "shrink", id, host, reason, place };
}

function rootfsBytesOf(value: unknown): number {
  return typeof value === "number" ? value : defaultRootfsBytes;
}
