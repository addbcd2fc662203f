import * as z from "zod";
import { Drift } from "./drift.ts";
import { ContainerId, Digest } from "./ids.ts";
import { OciState } from "./oci.ts";
import { ProxmoxNode } from "./proxmox-node.ts";
import { ContainerSpec } from "./spec.ts";

/**
 * How a container's init ended, as its monitor recorded it. Neither `exitCode` nor `signal`: it ended,
 * and how was lost with the monitor.
 */
export const Exit = z.object({
  exitCode: z.int().optional(),
  signal: z.int().optional(),
  oomKilled: z.boolean().optional(),
  finishedAt: z.iso.datetime(),
});
export type Exit = z.infer<typeof Exit>;

/** A container as it is on its host: what was observed, beside what its durable record knows. */
export const Observed = z.object({
  id: ContainerId,
  backend: z.string(),
  state: OciState,
  /** The fleet that owns it; none for what was made by hand. */
  fleet: z.string().optional(),
  /** The OCI client whose it is, such as podman, or the user's name who made it by hand as one. */
  client: z.string().optional(),
  /** What it was made from; none for what we did not make, or a newer nexcage in words that are not known here. */
  spec: ContainerSpec.optional().catch(undefined),
  digest: Digest.optional(),
  createdAt: z.iso.datetime().optional(),
  startedAt: z.iso.datetime().optional(),
  exit: Exit.optional(),
  /** `lost`: its output and exit code since then are not known. */
  monitor: z.enum(["alive", "lost"]).optional(),
  /** What is not as `spec` says, since somebody else has changed it. */
  drift: z.array(Drift).optional(),
});
export type Observed = z.infer<typeof Observed>;

/** What a container is, but for where its files come from. */
export const DescribedSpec = ContainerSpec.omit({ source: true });
export type DescribedSpec = z.infer<typeof DescribedSpec>;

/** A guest of Proxmox's as it would be in a fleet. */
export const Described = z.object({
  vmid: z.int(),
  /** None where it says what no spec can be. */
  spec: DescribedSpec.optional(),
  /** What would be lost with a later change: with one, it cannot be adopted. As its configuration has it. */
  problems: z.array(z.string()),
  /** What stays as it is, and a new one in its place would not have. */
  unsaid: z.array(z.string()),
  ostype: z.string().optional(),
  owner: z.object({ id: ContainerId, fleet: z.string().optional() }).optional(),
});
export type Described = z.infer<typeof Described>;

/** What one change did, compared before and after; `container` is missing once it is deleted. */
export const Change = z.object({ changed: z.boolean(), container: Observed.optional() });
export type Change = z.infer<typeof Change>;

/** A process inside a container, by its pid on the host. */
export const ProcessInfo = z.object({
  pid: z.int(),
  ppid: z.int(),
  uid: z.int(),
  command: z.string(),
});
export type ProcessInfo = z.infer<typeof ProcessInfo>;

/** A line that a container wrote, without its line end; `partial` when the line goes on in the next. */
export const LogLine = z.object({
  time: z.string(),
  stream: z.enum(["stdout", "stderr"]),
  text: z.string(),
  partial: z.boolean().optional(),
});
export type LogLine = z.infer<typeof LogLine>;

/** Who answers on a host. Each command waits for it on each host: it is what costs nothing to find out. */
export const Hello = z.object({
  agentVersion: z.string(),
  /** Version and digest of what is installed; none where it runs from its sources. */
  build: z.string().optional(),
  protocol: z.string(),
  ociVersion: z.string(),
  hostname: z.string(),
  kernel: z.string(),
  architecture: z.string(),
  /** Of a host that is a node of Proxmox's. */
  node: ProxmoxNode.optional(),
});
export type Hello = z.infer<typeof Hello>;

/** What a host can run, and on what. */
export const Features = Hello.extend({
  cgroups: z.enum(["v1", "v2", "hybrid", "none"]),
  backends: z.array(
    z.object({
      name: z.string(),
      available: z.boolean(),
      version: z.string().optional(),
      /** Why it is not available. */
      reason: z.string().optional(),
      /** `features` of the runtime specification, where it is an OCI runtime that tells them. */
      oci: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
});
export type Features = z.infer<typeof Features>;

/** Who holds a fleet's lock on a host. */
export const LockHolder = z.object({
  user: z.string(),
  host: z.string(),
  pid: z.int(),
  since: z.iso.datetime(),
  command: z.string().optional(),
});
export type LockHolder = z.infer<typeof LockHolder>;
