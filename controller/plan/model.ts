import type { Cost, FieldChange } from "../../shared/costs.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ContainerSpec, SnapshotPolicy } from "../../shared/spec.ts";
import type { Place } from "../inventory/model.ts";

/** What is wanted of a container, all of it known. */
export type Desired = {
  name: string;
  id: ContainerId;
  host: string;
  /** `global`: one of its id on every host that fits. */
  mode: "replicated" | "global";
  spec: ContainerSpec;
  dependsOn: string[];
  placement: string;
  protect: boolean;
  snapshot?: SnapshotPolicy;
  place: Place;
};

export type ChangeKind =
  | "create"
  | "replace"
  | "update"
  | "start"
  | "stop"
  | "restart"
  | "pause"
  | "resume"
  | "delete"
  | "keep";

/** What is to be done to one container, and why. Pure data: it prints as text and as JSON. */
export type PlannedChange = {
  kind: ChangeKind;
  host: string;
  id: ContainerId;
  /** Its key in the YAML; undefined for what no file names any more. */
  name?: string | undefined;
  /** One sentence part: `is not there`, `command changed`, `is stopped (exit code 3)`, `left the fleet`. */
  reason: string;
  /** The fields that differ, with their old and new values; for `replace` and `update`. */
  fields: readonly FieldChange[];
  /** What it costs the running container; undefined where nothing that runs is touched. */
  cost?: Cost | undefined;
  placement?: string | undefined;
  /** The volume of Proxmox's that its template is on the host; for `create` and `replace`. */
  template?: string | undefined;
  /** A template that is not there, and the storage to which pveam downloads it. */
  downloads?: { template: string; storage: string } | undefined;
  /** What to make; for `create`, `replace` and `update`. */
  spec?: ContainerSpec | undefined;
  /** For an `update` of what does not run: start it afterwards. */
  start?: boolean | undefined;
  /** For an `update`: whether a snapshot comes first. */
  snapshot?: SnapshotPolicy | undefined;
  /** `protect: true`: this change destroys what must not be; the plan shows it, and is refused. */
  protect?: boolean | undefined;
  /** Names of the volumes whose files are lost with a container that is deleted. */
  lost?: readonly string[] | undefined;
  /** Changes of this plan that come first, as `id@host`. */
  after: readonly string[];
  place?: Place | undefined;
};

/** What is left as it is. */
export type Noted = { host: string; id: ContainerId; reason: string; place?: Place | undefined };

/**
 * A wanted container that cannot be had: its id is `taken` by what is not ours, or its files would have to `shrink` or `move`,
 * or it would need the `vmid` of the one that it replaces, or its host `lacks` something.
 */
export type Refused = Noted & { kind: "taken" | "shrink" | "move" | "vmid" | "lacks" };

/** Everything sorted by host, then id. */
export type Plan = {
  fleet: string;
  /** `keep` is listed too. */
  changes: PlannedChange[];
  /** Named, never touched; no apply begins while there are such. */
  refused: Refused[];
  /** Ours and not wanted any more, but left alone: without `prune`, or because its new host is not there. */
  orphans: Noted[];
  /** Hosts that could not be looked at, with how many containers are wanted there. */
  unreachable: { host: string; containers: number }[];
};

export const changing: ReadonlySet<ChangeKind> = new Set([
  "create",
  "replace",
  "update",
  "start",
  "stop",
  "restart",
  "pause",
  "resume",
  "delete",
]);

/** Changes that end a container or lose its files. */
export const destructive: ReadonlySet<ChangeKind> = new Set(["replace", "delete"]);

export const keyOf = ({ id, host }: { id: string; host: string }): string => `${id}@${host}`;
