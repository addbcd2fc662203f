import * as z from "zod";

/** OCI runtime-spec 1.3, runtime.md "State"; `paused` as crun and runc say it. */
export const Status = z.enum(["creating", "created", "running", "stopped", "paused"]);
export type Status = z.infer<typeof Status>;

/** OCI state JSON. `pid` is the init's on the host, 0 while there is none; `bundle` an absolute path. */
export const OciState = z.object({
  ociVersion: z.string(),
  id: z.string(),
  status: Status,
  pid: z.int().nonnegative(),
  bundle: z.string(),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type OciState = z.infer<typeof OciState>;

/** The version of the runtime specification that our state files follow. */
export const ociVersion = "1.3.0";

/** The annotations that are ours, in state JSON and in the container's record. */
export const annotation = {
  fleet: "io.nexcage.fleet",
  digest: "io.nexcage.digest",
  backend: "io.nexcage.backend",
  created: "io.nexcage.created",
  started: "io.nexcage.started",
  finished: "io.nexcage.finished",
  exitCode: "io.nexcage.exit-code",
  exitSignal: "io.nexcage.exit-signal",
  oomKilled: "io.nexcage.oom-killed",
  /** `lost` when the monitor was killed: output and exit code since then are not known. */
  monitor: "io.nexcage.monitor",
} as const;
