import { createHash } from "node:crypto";
import { join } from "node:path";
import { NexcageError } from "../shared/errors.ts";

/** The four folders below which the agent keeps all that it has on a host; absolute. */
export type Roots = { run: string; lib: string; log: string; lock: string };

const defaults: Roots = {
  run: "/run/nexcage",
  lib: "/var/lib/nexcage",
  log: "/var/log/nexcage",
  lock: "/run/lock/nexcage",
};

/** Where everything of a container is, and what is not one container's. */
export type Paths = Roots & ReturnType<typeof pathsBelow>;

/**
 * The paths of an agent. `--root` (or `NEXCAGE_RUN_DIR`) moves the OCI state and, into dot-folders beside it,
 * all the rest: two agents with two roots share nothing. `NEXCAGE_LIB_DIR`, `NEXCAGE_LOG_DIR` and
 * `NEXCAGE_LOCK_DIR` move one of the others.
 * @throws {NexcageError} `USAGE` for a folder that is not absolute
 */
export function agentPaths(environment: NodeJS.ProcessEnv, root = environment.NEXCAGE_RUN_DIR): Paths {
  const base = root === undefined || root === defaults.run ? defaults : rootsBelow(root);
  const roots: Roots = {
    run: base.run,
    lib: environment.NEXCAGE_LIB_DIR ?? base.lib,
    log: environment.NEXCAGE_LOG_DIR ?? base.log,
    lock: environment.NEXCAGE_LOCK_DIR ?? base.lock,
  };
  for (const path of Object.values(roots))
    if (!path.startsWith("/") || path.includes("\0"))
      throw new NexcageError("USAGE", `${JSON.stringify(path)} is not an absolute path`);
  return { ...roots, ...pathsBelow(roots) };
}

function rootsBelow(root: string): Roots {
  return { run: root, lib: join(root, ".lib"), log: join(root, ".log"), lock: join(root, ".lock") };
}

function pathsBelow({ run, lib, log, lock }: Roots) {
  return {
    /** The own state of an OCI runtime. An id never begins with a dot. */
    runtimeRoot: (name: string) => join(run, `.${name}`),
    /** `linux.cgroupsPath` of a container: below a folder of this root's, because a runtime's own choice is `/ID`. */
    cgroup: (id: string) => `/${cgroupFolder(run)}/${id}`,
    /** See agent/server/last-look.ts. */
    lastLook: join(run, ".last-look"),
    stateFolder: (id: string) => join(run, id),
    stateFile: (id: string) => join(run, id, "state.json"),
    /** The pipes between a container and its monitor; one runtime's monitor is not another's. */
    io: (id: string, runtime: string) => join(run, id, `io-${runtime}`),
    records: join(lib, "containers"),
    record: (id: string) => join(lib, "containers", `${id}.json`),
    bundle: (id: string) => join(lib, "bundles", id),
    exits: join(lib, "exits"),
    exit: (id: string) => join(lib, "exits", `${id}.json`),
    /** Numbers of Proxmox's that containers are being made under. */
    claims: join(lib, "claims"),
    /** What guests of Proxmox's had before a change that makes volumes. */
    volumeClaims: join(lib, "volume-claims"),
    journals: join(lib, "journal"),
    counters: join(lib, "counters.json"),
    countersLock: join(lock, "counters"),
    images: join(lib, "images"),
    /** Root file systems of bundles, as archives for pct. */
    templates: join(lib, "templates"),
    uploads: join(lib, "uploads"),
    logFile: (id: string) => join(log, `${id}.log`),
    /** What a Proxmox container writes on its console, as LXC keeps it. */
    consoleLog: (id: string) => join(log, `${id}.console`),
    containerLock: (id: string) => join(lock, `container-${id}`),
    fleetLock: (fleet: string) =>
      join(lock, `fleet-${plainName.test(fleet) ? fleet : `#${shortHash(fleet)}`}`),
    journalLock: (journal: string) => join(lock, `journal-${journal}`),
  };
}

/** A fleet's, as the controller lets them be: it can be a file's. A hash loads Node's crypto, which is dear. */
const plainName = /^[A-Za-z0-9][\w.-]{0,62}$/;

function cgroupFolder(run: string): string {
  return run === defaults.run ? "nexcage" : `nexcage-${shortHash(run)}`;
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
