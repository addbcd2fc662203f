import { NexcageError } from "../../shared/errors.ts";
import { loadConfig } from "../config.ts";
import { command } from "./command.ts";
import { composeOptions, interrupted } from "./open.ts";
import type { Globals } from "./serve-arguments.ts";

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

export async function serveStdio(globals: Globals): Promise<void> {
  const options = composeOptions(globals, {
    config: await loadConfig(globals.config),
    logFormat: "json", // nexcage takes its words apart
  });
  await using _log = options.log;
  const signal = interrupted();
  const { serve: serveSession } = await import("../server/serve.ts");
  await serveSession({
    async openRuntime() {
      const { composeRuntime } = await import("../compose.ts");
      return await composeRuntime(options, { signal });
    },
    signal,
  });
}
