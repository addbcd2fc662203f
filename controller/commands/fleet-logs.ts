import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetLogs = command({
  command: "logs <containers..>",
  describe: "Show what containers wrote, each line with its container's name where there are several",
  builder: (yargs) =>
    fleetOptions(yargs, { short: [] })
      .positional("containers", {
        type: "string",
        array: true,
        demandOption: true,
        completes: "containers",
        describe: "web, web-*, db@pve1, '*'",
      })
      .option("follow", {
        alias: "f",
        type: "boolean",
        default: false,
        describe: "go on with what they write from now on",
      })
      .option("tail", {
        alias: "n",
        type: "number",
        requiresArg: true,
        describe: "the last so many lines of each",
      })
      .option("since", {
        type: "string",
        requiresArg: true,
        describe: "not older than 10m, or than 2026-11-24T10:00:00Z",
      })
      .option("timestamps", {
        alias: "t",
        type: "boolean",
        default: false,
        describe: "each line with its time",
      }),
  async handler(argv) {
    const { withFleet } = await import("./with-fleet.ts");
    const { lookExitCode } = await import("./planning.ts");
    const { parseSince, selectedContainers } = await import("./selected.ts");
    const { listContainers } = await import("../list.ts");
    const { followLogs } = await import("../logs.ts");
    return await withFleet({ ...argv, mayHaveLeft: true }, async (context) => {
      const { opened, progress, signal, color } = context;
      const observed = await listContainers(opened, { signal });
      const selected = selectedContainers(context, observed);
      progress.pause();
      await followLogs(selected, {
        tail: argv.tail,
        since: parseSince(argv.since, new Date()),
        follow: argv.follow,
        timestamps: argv.timestamps,
        json: argv.output === "json",
        color,
        out: process.stdout,
        err: process.stderr,
        signal,
      });
      return lookExitCode(context);
    });
  },
});
