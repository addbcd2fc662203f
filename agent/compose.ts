import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { crun } from "./backends/crun/crun.ts";
import { LxcBackend } from "./backends/lxc/lxc.ts";
import { OciBackend } from "./backends/oci/oci.ts";
import { runc } from "./backends/runc/runc.ts";
import { lazy } from "./lazy.ts";
import type { Log } from "./log.ts";
import type { Paths } from "./paths.ts";
import { openRuntime, type Runtime, type RuntimeDependencies } from "./runtime.ts";
import { lockFileWith } from "./state/lock.ts";

export type ComposeOptions = {
  paths: Paths;
  log: Log;
  lockTimeoutMs: number;
  /** The program's file, beside which the product has its libraries. */
  script: string;
  environment: NodeJS.ProcessEnv;
  onStep?: RuntimeDependencies["onStep"];
};

/** The runtime as the product has it. What is heavy (libcrun, the image store) is loaded with its first use. */
export async function composeRuntime(
  { paths, log, script, environment, ...options }: ComposeOptions,
  { signal }: { signal: AbortSignal },
): Promise<Runtime> {
  const lockFile = lockFileWith(async (fd, operation) => {
    const { flock } = await import("./libc.ts");
    return await flock(fd, operation);
  });
  const images = lazy(async () => {
    const { openImageStore } = await import("./images/store.ts");
    return await openImageStore({ root: paths.images, uploads: paths.uploads, lockFile, log });
  });
  const native = nativeFolder(script, environment);
  return await openRuntime(
    {
      ...options,
      paths,
      backends: [
        new OciBackend({ kind: crun(native), paths, images, log }),
        new LxcBackend({ paths, images, lockFile, log }),
        new OciBackend({ kind: runc(native, { log }), paths, images, log }),
      ],
      images,
      lockFile,
      hostname: hostname(),
      now: () => new Date(),
      newId: () => `${process.pid}-${Date.now().toString(36)}`, // node:crypto is dear to load
      log,
    },
    { signal },
  );
}

/**
 * Where the product has its libraries: beside its program. In development they are where `native/build`
 * made them, which only the environment knows; the product never looks there.
 */
function nativeFolder(script: string, environment: NodeJS.ProcessEnv): string {
  const beside = dirname(script);
  if (existsSync(join(beside, "libncx.so")) || !script.endsWith(".ts")) return beside;
  return environment.NEXCAGE_NATIVE ?? beside;
}
