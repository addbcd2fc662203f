import type { ContainerId } from "../../shared/ids.ts";
import type { ContainerSpec, SnapshotPolicy } from "../../shared/spec.ts";

/*
 * What the YAML files come to once they are read, parsed and resolved: plain data, all references
 * followed, all defaults filled in, each thing with the place that it came from.
 */

/** Where in the user's files something stands; line and column count from 1. */
export type Place = { file: string; line: number; column: number };

export type Ssh = {
  address: string;
  port?: number;
  user?: string;
  identityFiles?: string[];
  identitiesOnly?: boolean;
  knownHosts?: string[];
  hostKey?: string;
  hostKeyChecking: "strict" | "accept-new";
  connectTimeoutMs: number;
  proxyJump?: string;
  passphraseCommand?: string[];
};

export type Host = {
  name: string;
  connection: { kind: "local" } | ({ kind: "ssh" } & Ssh);
  become: "none" | "sudo";
  agentPath: string;
  /** Steps at once on this host. */
  hostParallel: number;
  /** Containers made at once on one of its storages. */
  storageParallel: number;
  /** How long the agent may take to answer a request that changes nothing. */
  commandTimeoutMs: number;
  /** Every group that it is in, also through `children`, sorted. */
  groups: string[];
  labels: Record<string, string>;
  vars: Record<string, string>;
  place: Place;
};

/** A container's source before its files were read: a `rootfs:` has no digest yet. */
export type WantedSource =
  | { kind: "bundle"; path: string }
  | { kind: "template"; volume: string }
  | { kind: "rootfs"; path: string; place: Place };

/** One container wanted on one host: a replica is one of these. */
export type Wanted = {
  /** The key in the YAML: `web` for `web-1` … `web-n`. */
  name: string;
  id: ContainerId;
  host: string;
  /** `global`: one of its id on every host that fits. */
  mode: "replicated" | "global";
  spec: Omit<ContainerSpec, "source"> & { source: WantedSource };
  /** The keys of `containers:` that must be started first. */
  dependsOn: string[];
  /** Why it is on this host, in a few words for the plan: `host: pve1`, `spread over zone: 1 of 3 in hel`. */
  placement: string;
  /** `protect: true`: never deleted or replaced. */
  protect: boolean;
  /** Whether a snapshot is taken before it is changed in place; none where it is not said. */
  snapshot?: SnapshotPolicy;
  place: Place;
};

export type Fleet = {
  name: string;
  prune: boolean;
  onUnreachable: "fail" | "skip";
  limits: { maxDestroy?: number };
  /** How long to wait for another apply of this fleet. */
  lockWaitMs: number;
  /** Sorted by host, then id. */
  wanted: Wanted[];
  place: Place;
};

export type Resolved = {
  hosts: Host[];
  /** None where the files have an inventory alone. */
  fleet: Fleet | undefined;
};
