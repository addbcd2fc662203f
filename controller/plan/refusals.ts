import type { Observed } from "../../shared/container.ts";
import { shrinks } from "../../shared/costs.ts";
import { lacksOf, type ProxmoxNode } from "../../shared/proxmox-node.ts";
import { volumesOf } from "../../shared/spec.ts";
import { formatSize } from "../../shared/units.ts";
import type { Desired, PlannedChange, Refused } from "./model.ts";

/** Why what is there under a wanted id keeps it from being made; undefined where it is this fleet's own. */
export function refusalOfId(
  { id, host, place }: Desired,
  there: Observed | undefined,
  { fleet }: { fleet: string },
): Refused | undefined {
  if (there === undefined || there.fleet === fleet) return undefined;
  const maker = there.client === undefined ? "belongs to no fleet" : `is ${there.client}'s`;
  const owner = there.fleet === undefined ? maker : `belongs to fleet "${there.fleet}"`;
  return { kind: "taken", id, host, reason: `what is there ${owner}`, place };
}

/** Why a change cannot be carried out: what holds files is made neither smaller nor of another storage. */
export function refusalOfChange(
  { id, host, kind, spec, place }: PlannedChange,
  there: Observed | undefined,
): Refused | undefined {
  const before = there?.spec;
  if (spec === undefined || there === undefined) return undefined;
  const vmid = spec.proxmox?.vmid?.toString();
  if (kind === "replace" && vmid !== undefined && there.state.annotations?.["io.nexcage.vmid"] === vmid) {
    const reason = `proxmox.vmid: ${vmid} is the one's that it is to replace, and one number is not for two`;
    return { kind: "vmid", id, host, reason, place };
  }
  if (before === undefined) return undefined;
  const [shrink] = shrinks(before, spec, { rootfs: kind === "replace" ? "new" : "kept" });
  if (shrink !== undefined) {
    const reason = `${shrink.word} cannot shrink: ${formatSize(shrink.before)} → ${formatSize(shrink.after)}`;
    return { kind: "shrink", id, host, reason, place };
  }
  for (const { name, storage } of volumesOf(spec)) {
    const old = volumesOf(before).find((volume) => volume.name === name);
    if (old === undefined || old.storage === storage) continue;
    const reason = `volumes.${name} is on ${storageText(old.storage)}, and does not go to ${storageText(storage)} by itself`;
    return { kind: "move", id, host, reason, place };
  }
  return undefined;
}

/** What the host does not have of what a change needs. */
export function refusalOfLacks(
  { id, host, kind, spec, fields, place }: PlannedChange,
  node: ProxmoxNode | undefined,
): Refused | undefined {
  if (spec?.runtime !== "lxc" || node === undefined) return undefined;
  const isNew = kind === "create" || kind === "replace";
  const [mounts, networks] = (["mounts", "networks"] as const).map(
    (word) => isNew || fields.some(({ field }) => field === word),
  );
  const lacks = lacksOf(spec, node, { files: isNew, mounts: mounts === true, networks: networks === true });
  if (lacks.length === 0) return undefined;
  const reason = lacks.map(({ message, hint }) => `${message} (${hint})`).join("; ");
  return { kind: "lacks", id, host, reason, place };
}

function storageText(storage: string | undefined): string {
  return storage ?? "the storage of the root file system";
}
