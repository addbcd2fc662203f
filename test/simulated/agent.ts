/*
 * The agent of a simulated host: the product's runtime, journal and protocol, over containers that are
 * plain processes. Its folder is its only argument; `serve --stdio` is all that it does.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { lazy } from "../../agent/lazy.ts";
import { openLog } from "../../agent/log.ts";
import { agentPaths } from "../../agent/paths.ts";
import { openRuntime } from "../../agent/runtime.ts";
import { serve } from "../../agent/server/serve.ts";
import { lockFileWith } from "../../agent/state/lock.ts";
import { noImages } from "./host.ts";
import { processBackend } from "./process-backend.ts";

const folder = process.argv[2] ?? "";
const { signal } = new AbortController();
const lockFile = lockFileWith(async (fd, operation) => {
  const { flock } = await import("../../agent/libc.ts");
  return await flock(fd, operation);
});
await serve({
  openRuntime: () =>
    openRuntime(
      {
        paths: agentPaths({
          NEXCAGE_RUN_DIR: join(folder, "run"),
          NEXCAGE_LIB_DIR: join(folder, "lib"),
          NEXCAGE_LOG_DIR: join(folder, "log"),
          NEXCAGE_LOCK_DIR: join(folder, "lock"),
        }),
        backends: [processBackend(join(folder, "containers"))],
        images: lazy(async () => noImages),
        lockFile,
        lockTimeoutMs: 60_000,
        hostname: "simulated",
        now: () => new Date(),
        newId: randomUUID,
        log: openLog("warn", "json"),
      },
      { signal },
    ),
  signal,
});
