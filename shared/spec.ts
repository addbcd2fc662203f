import * as z from "zod";
import { digestOf } from "./digest.ts";
import { ContainerId, Digest } from "./ids.ts";

/** An absolute path without `.` and `..` in it, and without NUL. */
export const AbsolutePath = z
  .string()
  .max(4096)
  .regex(/^\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\0]*$/);

/** `crun`: libcrun by FFI; `lxc`: a Proxmox container by `pct`; `runc`: by its program. */
export const backendNames = ["crun", "lxc", "runc"] as const;
export const BackendName = z.enum(backendNames);
export type BackendName = z.infer<typeof BackendName>;

/**
 * Where a container's files come from: an OCI bundle that is on the host, an image kept there by digest, or a
 * template of Proxmox's by its volume, such as `local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst`, or by its
 * name, such as `debian-13-standard`, which is the newest of that name on the host when the container is made.
 */
export const Source = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("bundle"), path: AbsolutePath }),
  z.strictObject({ kind: z.literal("image"), digest: Digest }),
  z.strictObject({
    kind: z.literal("template"),
    volume: z.string().regex(/^([A-Za-z][\w.-]*:vztmpl\/)?[\w.+-]+$/),
  }),
]);
export type Source = z.infer<typeof Source>;

const StorageName = z.string().regex(/^[A-Za-z][\w.-]*$/);
const VolumeName = z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/);

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
  /** A volume of Proxmox's that is the container's own, known by its name for as long as the container lives. */
  z.strictObject({
    type: z.literal("volume"),
    name: VolumeName,
    target: AbsolutePath,
    /** It can only grow. */
    sizeBytes: z.int().positive(),
    /** That of the root file system, where it is not said. */
    storage: StorageName.optional(),
    /** Whether Proxmox's backups have it too. */
    backup: z.boolean().optional(),
    readOnly: z.boolean().optional(),
  }),
]);
export type Mount = z.infer<typeof Mount>;
export type Volume = Extract<Mount, { type: "volume" }>;

export const Resources = z.strictObject({
  /** How many CPUs' time it may use at most: 0.5 is half of one. */
  cpus: z.number().positive().optional(),
  memoryBytes: z.int().positive().optional(),
  /** Swap alone, beside the memory; 0 is none. */
  swapBytes: z.int().nonnegative().optional(),
  /** How many processes and threads at most. */
  pids: z.int().positive().optional(),
});
export type Resources = z.infer<typeof Resources>;

/** A network interface of a Proxmox container. */
export const Network = z.strictObject({
  /** As the container sees it: `eth0`. */
  name: z.string().regex(/^[a-z][a-z0-9]{0,14}$/),
  bridge: z.string().regex(/^[A-Za-z][\w.-]{0,14}$/),
  vlan: z.int().min(1).max(4094).optional(),
  mtu: z.int().min(64).max(65_535).optional(),
  /** Upper case; left out, Proxmox makes one, which the container keeps. */
  mac: z
    .string()
    .regex(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/)
    .optional(),
  ip: z.union([z.literal("dhcp"), z.cidrv4()]).optional(),
  gateway: z.ipv4().optional(),
  ip6: z.union([z.enum(["dhcp", "auto"]), z.cidrv6()]).optional(),
  gateway6: z.ipv6().optional(),
  firewall: z.boolean().optional(),
});
export type Network = z.infer<typeof Network>;

/** A device of the host that a Proxmox container may use. */
export const Device = z.strictObject({
  path: z.string().regex(/^\/dev\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\0,\s]+$/),
  /** Octal, as in `0660`. */
  mode: z
    .string()
    .regex(/^0[0-7]{3}$/)
    .optional(),
  uid: z.int().nonnegative().optional(),
  gid: z.int().nonnegative().optional(),
  denyWrite: z.boolean().optional(),
});
export type Device = z.infer<typeof Device>;

/** What only Proxmox has words for. */
export const ProxmoxOptions = z.strictObject({
  /** A fixed number instead of the lowest free one of `vmidRange`. */
  vmid: z.int().min(100).max(999_999_999).optional(),
  vmidRange: z.tuple([z.int().min(100), z.int().max(999_999_999)]).optional(),
  /** Where its root file system is; the first storage that takes containers, where it is not said. */
  storage: StorageName.optional(),
  /** {@link defaultRootfsBytes} where it is not said; it can only grow. */
  rootfsBytes: z.int().positive().optional(),
  /** True where it is not said. */
  unprivileged: z.boolean().optional(),
  features: z
    .strictObject({
      nesting: z.boolean().optional(),
      keyctl: z.boolean().optional(),
      fuse: z.boolean().optional(),
      mknod: z.boolean().optional(),
    })
    .optional(),
  onboot: z.boolean().optional(),
  startup: z
    .strictObject({
      order: z.int().nonnegative().optional(),
      up: z.int().nonnegative().optional(),
      down: z.int().nonnegative().optional(),
    })
    .optional(),
  /** Lower case, sorted; the agent adds its own. */
  tags: z.array(z.string().regex(/^[a-z0-9_][a-z0-9_+.-]*$/)).optional(),
  protection: z.boolean().optional(),
  /** Proxmox's HA manager starts it, and restarts it on another node; `ignored`: it knows it, and leaves it alone. */
  ha: z
    .strictObject({
      state: z.enum(["started", "ignored"]),
      maxRestart: z.int().nonnegative().optional(),
      maxRelocate: z.int().nonnegative().optional(),
    })
    .optional(),
  /** How many cores it sees. */
  cores: z.int().min(1).max(8192).optional(),
  /** Its share of the CPUs beside others. */
  cpuunits: z.int().min(2).max(10_000).optional(),
  pool: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]*$/)
    .optional(),
  nameserver: z.array(z.union([z.ipv4(), z.ipv6()])).optional(),
  searchdomain: z.array(z.string().regex(/^[A-Za-z0-9.-]+$/)).optional(),
  /** `host`, or the name of a zone. */
  timezone: z
    .string()
    .regex(/^[A-Za-z][\w+/-]*$/)
    .optional(),
  /** Of its root, as they stand in authorized_keys(5). */
  sshPublicKeys: z.array(z.string().regex(/^[^\0\r\n]+$/)).optional(),
  /** A template that the host does not have is downloaded by pveam(1). */
  templateDownload: z.boolean().optional(),
  /** As in `u 0 100000 65536`: kind, first inside, first on the host, how many. */
  idmap: z.array(z.string().regex(/^[ug] \d+ \d+ \d+$/)).optional(),
});
export type ProxmoxOptions = z.infer<typeof ProxmoxOptions>;

/** Whether how a container is is kept before it is changed: never, where its storage can, or else it is not changed. */
export const SnapshotPolicy = z.enum(["none", "auto", "required"]);
export type SnapshotPolicy = z.infer<typeof SnapshotPolicy>;

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
  networks: z.array(Network).optional(),
  devices: z.array(Device).optional(),
  proxmox: ProxmoxOptions.optional(),
});
export type ContainerSpec = z.infer<typeof ContainerSpec>;

/** The volumes that are a container's own. Pure. */
export function volumesOf({ mounts = [] }: Pick<ContainerSpec, "mounts">): Volume[] {
  return mounts.filter((mount) => mount.type === "volume");
}

/** How long a container may take to stop by itself where its spec does not say (docker, podman: 10 s). */
export const defaultStopGracePeriodMs = 10_000;

/** How large a Proxmox container's root file system is made where its spec does not say, as `pct create` does. */
export const defaultRootfsBytes = 4 * 1024 ** 3;

export function specDigest(spec: ContainerSpec): Digest {
  return digestOf(spec);
}
