/** An OCI runtime configuration, as JSON; what we do not touch stays as it was. */
export type OciConfig = Record<string, unknown>;

export type ConfigOptions = {
  /** The root of the container's files, absolute; writable unless the spec says `readOnly`. */
  rootfsPath: string;
  /** `linux.cgroupsPath`, below this agent's own cgroup. */
  cgroupsPath: string;
  signal: AbortSignal;
};
