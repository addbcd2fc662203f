import * as z from "zod";
import { digestOf } from "./digest.ts";
import { ContainerId, Digest } from "./ids.ts";

/** An absolute path without `.` and `..` in it, and without NUL. */
export const AbsolutePath = z
  .string()
  .max(4096)
  .regex(/^\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\0]*$/);

export const BackendName = z.enum(["crun"]);
export type BackendName = z.infer<typeof BackendName>;

/** Where a container's files come from: an OCI bundle that is on the host, or an image kept there by digest. */
export const Source = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("bundle"), path: AbsolutePath }),
  z.strictObject({ kind: z.literal("image"), digest: Digest }),
]);
export type Source = z.infer<typeof Source>;

export const Mount = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("bind"),
    source: AbsolutePath,
    target: AbsolutePath,
    readOnly: z.boolean().optional(),
  }),
  z.strictObject({
    type: z.literal("tmpfs"),
    target: AbsolutePath,
    sizeBytes: z.int().positive().optional(),
    mode: z.int().min(0).max(0o7777).optional(),
  }),
]);
export type Mount = z.infer<typeof Mount>;

export const Resources = z.strictObject({
  /** How many CPUs' time it may use at most: 0.5 is half of one. */
  cpus: z.number().positive().optional(),
  memoryBytes: z.int().positive().optional(),
  /** How many processes and threads at most. */
  pids: z.int().positive().optional(),
});
export type Resources = z.infer<typeof Resources>;

/** `uid`, `uid:gid`, or names of the image's own `/etc/passwd` and `/etc/group`. */
export const User = z.string().regex(/^[a-z_0-9][a-z0-9_.-]{0,63}(:[a-z_0-9][a-z0-9_.-]{0,63})?$/i);
export const EnvironmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/);
export const EnvironmentValue = z.string().regex(/^[^\0]*$/);

/**
 * What is wanted of one container on its host: resolved, nothing left to look up. Its digest tells
 * whether it changed. What is not said is left out, so that a later field does not change old digests.
 */
export const ContainerSpec = z.strictObject({
  id: ContainerId,
  runtime: BackendName,
  source: Source,
  command: z
    .array(z.string().regex(/^[^\0]*$/))
    .min(1)
    .optional(),
  environment: z.record(EnvironmentName, EnvironmentValue).optional(),
  user: User.optional(),
  workingDir: AbsolutePath.optional(),
  hostname: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/i)
    .optional(),
  mounts: z.array(Mount).optional(),
  resources: Resources.optional(),
  readOnly: z.boolean().optional(),
  capAdd: z.array(z.string()).optional(),
  capDrop: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  stopSignal: z
    .string()
    .regex(/^SIG[A-Z0-9+]+$/)
    .optional(),
  stopGracePeriodMs: z.int().nonnegative().optional(),
});
export type ContainerSpec = z.infer<typeof ContainerSpec>;

/** How long a container may take to stop by itself where its spec does not say (docker, podman: 10 s). */
export const defaultStopGracePeriodMs = 10_000;

export function specDigest(spec: ContainerSpec): Digest {
  return digestOf(spec);
}
