import { createHash } from "node:crypto";
import { join } from "node:path";
import { NexcageError } from "../shared/errors.ts";

/** The four roots below which the agent keeps all that it has on a host; absolute. */
export type Roots = { run: string; lib: string; log: string; lock: string };

const defaults: Roots = {
  run: "/run/nexcage",
  lib: "/var/lib/nexcage",
  log: "/var/log/nexcage",
  lock: "/run/lock/nexcage",
};

/** Where everything of a container is, and what is not one container's. */
export type Paths = Roots & ReturnType<typeof pathsOf>;

/**
 * The paths of an agent: `NEXCAGE_RUN_DIR`, `NEXCAGE_LIB_DIR`, `NEXCAGE_LOG_DIR` and `NEXCAGE_LOCK_DIR` move
 * the roots, for tests and for two agents on one machine; `--root` moves the first.
 * @throws {NexcageError} `USAGE` for a root that is not absolute
 */
export function agentPaths(environment: NodeJS.ProcessEnv, root?: string): Paths {
  const roots: Roots = {
    run: root ?? environment.NEXCAGE_RUN_DIR ?? defaults.run,
    lib: environment.NEXCAGE_LIB_DIR ?? defaults.lib,
    log: environment.NEXCAGE_LOG_DIR ?? defaults.log,
    lock: environment.NEXCAGE_LOCK_DIR ?? defaults.lock,
  };
  for (const path of Object.values(roots))
    if (!path.startsWith("/"))
      throw new NexcageError("USAGE", `${JSON.stringify(path)} is not an absolute path`);
  return { ...roots, ...pathsOf(roots) };
}

function pathsOf({ run, lib, log, lock }: Roots) {
  return {
    /** libcrun's own state; an id never begins with a dot. */
    crunRoot: join(run, ".crun"),
    /** Below it is each container's cgroup; two agents on one machine have two. */
    cgroup: run === defaults.run ? "/nexcage" : `/nexcage-${shortHash(run)}`,
    containerRun: (id: string) => join(run, id),
    stateFile: (id: string) => join(run, id, "state.json"),
    io: (id: string) => join(run, id, "io"),
    records: join(lib, "containers"),
    record: (id: string) => join(lib, "containers", `${id}.json`),
    bundle: (id: string) => join(lib, "bundles", id),
    bundles: join(lib, "bundles"),
    exit: (id: string) => join(lib, "exits", `${id}.json`),
    exits: join(lib, "exits"),
    journal: join(lib, "journal"),
    images: join(lib, "images"),
    uploads: join(lib, "uploads"),
    logFile: (id: string) => join(log, `${id}.log`),
    containerLock: (id: string) => join(lock, `container-${id}`),
    fleetLock: (fleet: string) => join(lock, `fleet-${encodeURIComponent(fleet)}`),
  };
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
