import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerSpec, Mount } from "../../../shared/spec.ts";
import type { ContainerUser } from "../users.ts";
import { type Capability, containerCapabilities } from "./capabilities.ts";
import { resourcesOf } from "./limits.ts";
import { defaultSeccomp } from "./seccomp.ts";

/** An OCI runtime configuration: JSON for libcrun, of which we read again only what we wrote. */
export type OciConfig = Record<string, unknown>;

/** What a configuration takes from its host. */
export type HostFacts = {
  /** The most open files that a process here may have. */
  openFiles: number;
  /** The capabilities that this host can give. */
  capabilities: readonly Capability[];
  /** Node's name of the processor's. */
  architecture: string;
  /** Files of the host that a container on its network sees too, such as `/etc/resolv.conf`. */
  networkFiles: string[];
};

export type ConfigParts = {
  rootfsPath: string;
  cgroupsPath: string;
  user: ContainerUser;
  host: HostFacts;
};

type OciMount = { destination: string; type: string; source: string; options: string[] };

/** The version in which what we write is there; the oldest libcrun that is about knows no other. */
const configVersion = "1.0.2";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const maxOpenFiles = 1_048_576;
const hostnameLength = 63;

const systemMounts: OciMount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
  },
];

const maskedPaths = [
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/dev/block",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
  "/sys/fs/selinux",
];

const readonlyPaths = [
  "/proc/asound",
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/**
 * The configuration of a container made from an image: podman's defaults, and what the spec says. It has
 * namespaces of its own but for the network, which is the host's, as with `podman run --network host`. Pure.
 * @throws {NexcageError} `SPEC_REFUSED` naming the field
 */
export function ociConfig(
  spec: ContainerSpec,
  { rootfsPath, cgroupsPath, user, host }: ConfigParts,
): OciConfig {
  if (spec.command === undefined)
    throw new NexcageError("SPEC_REFUSED", `command: container ${spec.id} does not say what to run`);
  const hostname = spec.hostname ?? spec.id.slice(0, hostnameLength);
  const capabilities = containerCapabilities(spec, host.capabilities);
  const openFiles = Math.min(maxOpenFiles, host.openFiles);
  return {
    ociVersion: configVersion,
    process: {
      terminal: false,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids, umask: 0o022 },
      args: spec.command,
      env: environmentOf(spec, { home: user.home, hostname }),
      cwd: spec.workingDir ?? "/",
      capabilities: capabilitySets(capabilities, spec, user),
      rlimits: [{ type: "RLIMIT_NOFILE", soft: openFiles, hard: openFiles }],
    },
    root: { path: rootfsPath, readonly: spec.readOnly ?? false },
    hostname,
    mounts: mountsOf(spec.mounts ?? [], host.networkFiles),
    linux: {
      cgroupsPath,
      namespaces: ["pid", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: "rwm" }], ...resourcesOf(spec.resources ?? {}) },
      seccomp: defaultSeccomp({ capabilities, architecture: host.architecture }),
      maskedPaths,
      readonlyPaths,
    },
  };
}

function environmentOf(
  spec: ContainerSpec,
  { home, hostname }: { home: string; hostname: string },
): string[] {
  const environment = {
    PATH: defaultPath,
    HOME: home,
    HOSTNAME: hostname,
    container: "nexcage",
    ...spec.environment,
  };
  return Object.entries(environment).map(([name, value]) => `${name}=${value}`);
}

/** Who is not root has them in reserve only, for setuid programs, and at hand what was asked for by name. */
function capabilitySets(capabilities: Capability[], spec: ContainerSpec, user: ContainerUser) {
  if (user.uid === 0) return { bounding: capabilities, effective: capabilities, permitted: capabilities };
  const named = containerCapabilities({ capAdd: spec.capAdd, capDrop: ["ALL"] }, capabilities);
  return { bounding: capabilities, effective: named, permitted: named, inheritable: named, ambient: named };
}

/** The system's mounts, the host's network files, then the user's, outer ones first; the user's win. */
function mountsOf(wanted: Mount[], networkFiles: string[]): OciMount[] {
  const ours = [...systemMounts, ...networkFiles.map(networkFile)];
  const users = wanted.map(userMount).sort((a, b) => depthOf(a) - depthOf(b));
  const isReplaced = ({ destination }: OciMount) =>
    users.some((mount) => isBelow(destination, mount.destination));
  return [...ours.filter((mount) => !isReplaced(mount)), ...users];
}

function userMount(mount: Mount): OciMount {
  const destination = mount.target.replace(/\/+/g, "/").replace(/(?<=.)\/$/, "");
  if (["/", "/proc", "/dev", "/sys"].includes(destination))
    throw new NexcageError(
      "SPEC_REFUSED",
      `volumes: nothing can be mounted on ${destination}, the container has its own`,
    );
  switch (mount.type) {
    case "bind":
      return {
        destination,
        type: "bind",
        source: mount.source,
        options: ["rbind", "rprivate", "nosuid", "nodev", mount.readOnly === true ? "ro" : "rw"],
      };
    case "tmpfs":
      return {
        destination,
        type: "tmpfs",
        source: "tmpfs",
        options: [
          "nosuid",
          "nodev",
          `mode=${(mount.mode ?? 0o1777).toString(8)}`,
          ...(mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`]),
        ],
      };
    case "volume":
      throw new NexcageError("SPEC_REFUSED", `volumes: ${mount.name} is a volume of Proxmox's`, {
        hint: "OCI containers mount paths of the host, as in /srv/data:/data",
      });
    default:
      return mount satisfies never;
  }
}

function networkFile(path: string): OciMount {
  return {
    destination: path,
    type: "bind",
    source: path,
    options: ["bind", "ro", "nosuid", "nodev", "noexec"],
  };
}

function depthOf({ destination }: OciMount): number {
  return destination.split("/").length;
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
