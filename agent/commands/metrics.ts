import { resolve } from "node:path";
import { command } from "./command.ts";
import { openAgent } from "./open.ts";

export const metrics = command({
  command: "metrics",
  describe: "Print what Prometheus wants to know of this host's containers",
  builder: (yargs) =>
    yargs.option("write", {
      type: "string",
      requiresArg: true,
      completes: "file",
      describe: "into this file, whole or not at all: for node-exporter's textfile collector",
    }),
  async handler(globals) {
    const { metricsText } = await import("../metrics.ts");
    const { readCounters } = await import("../state/counter-file.ts");
    await using opened = await openAgent(globals);
    const { runtime, signal } = opened;
    const text = metricsText({
      features: await runtime.features(),
      containers: await runtime.list({ signal }),
      counted: readCounters(opened.paths),
    });
    if (globals.write === undefined) process.stdout.write(text);
    else {
      const { writeWhole } = await import("../state/files.ts");
      await writeWhole(resolve(globals.write), text, { mode: 0o644 });
    }
  },
});
