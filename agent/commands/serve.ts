import { dirname } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import { loadConfig } from "../config.ts";
import type { Paths } from "../paths.ts";
import type { LastLook } from "../server/last-look.ts";
import { adoptLock } from "../state/lock.ts";
import { noteReadings } from "../state/readings.ts";
import { command } from "./command.ts";
import { composeOptions, interrupted } from "./open.ts";
import type { Globals, ServeArguments } from "./serve-arguments.ts";

export const serve = command({
  command: "serve",
  describe: "Speak the protocol with nexcage, over stdin and stdout",
  builder: (yargs) =>
    yargs.option("stdio", { type: "boolean", default: false, describe: "over stdin and stdout" }),
  async handler({ stdio, ...globals }) {
    if (!stdio)
      throw new NexcageError("USAGE", "serve needs --stdio", { hint: "nexcage-agent serve --stdio" });
    await serveStdio(globals);
  },
});

export async function serveStdio({ begun, ...globals }: ServeArguments): Promise<void> {
  noteReadings();
  const options = composeOptions(globals, {
    config: await loadConfig(globals.config),
    logFormat: "json", // nexcage takes its words apart
  });
  await using _log = options.log;
  const signal = interrupted();
  const { serve: serveSession } = await import("../server/serve.ts");
  const { keepLastLook } = await import("../server/last-look.ts");
  await serveSession({
    async openRuntime() {
      const { composeRuntime } = await import("../compose.ts");
      return await composeRuntime(options, { signal });
    },
    signal,
    begun: begun && { ...begun, locks: locksOf(begun, options.paths) },
    // Whoever says more may be answered otherwise.
    ...(isPlain(globals) && {
      keepLook: (look: LastLook) => keepLastLook(look, { ...options, library: dirname(options.script) }),
    }),
  });
}

function isPlain({ root: _root, ...others }: Globals): boolean {
  return Object.values(others).every((value) => value === undefined);
}

function locksOf(
  { lock }: NonNullable<ServeArguments["begun"]>,
  paths: Paths,
): ReadonlyMap<string, AsyncDisposable> {
  if (lock === undefined) return new Map();
  return new Map([[lock.fleet, adoptLock(paths.fleetLock(lock.fleet), lock.fd)]]);
}
