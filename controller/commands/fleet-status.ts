import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetStatus = command({
  command: "status [containers..]",
  describe: "Show what is wanted beside what is there",
  builder: (yargs) =>
    fleetOptions(yargs)
      .positional("containers", {
        type: "string",
        array: true,
        completes: "wanted",
        describe: "web, web-*, db@pve1",
      })
      .option("all", {
        alias: "a",
        type: "boolean",
        default: false,
        describe: "also what is not this fleet's",
      }),
  async handler(argv) {
    const { withFleet } = await import("./with-fleet.ts");
    const { lookExitCode, resolveImages } = await import("./planning.ts");
    const { statusRows } = await import("./selected.ts");
    const { printJson } = await import("./print.ts");
    const { listContainers } = await import("../list.ts");
    const { statusJson, statusText } = await import("../report/status.ts");
    return await withFleet(argv, async (context) => {
      const { opened, progress, color, signal } = context;
      const { desired } = await resolveImages(context);
      const observed = await listContainers(opened, { signal });
      const rows = statusRows(context, { desired, observed, all: argv.all });
      progress.pause();
      const { unreachable } = opened;
      if (argv.output === "json") printJson(statusJson(rows, unreachable));
      else process.stdout.write(statusText(rows, { now: new Date(), color, unreachable }));
      return lookExitCode(context);
    });
  },
});
