import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetState = command({
  command: "state [containers..]",
  describe: "Print the OCI state of each container as JSON, one object each",
  builder: (yargs) =>
    fleetOptions(yargs).positional("containers", {
      type: "string",
      array: true,
      completes: "containers",
      describe: "web, web-*, db@pve1",
    }),
  async handler(argv) {
    const { withFleet } = await import("./with-fleet.ts");
    const { lookExitCode } = await import("./planning.ts");
    const { selectedContainers } = await import("./selected.ts");
    const { printJson } = await import("./print.ts");
    const { listContainers } = await import("../list.ts");
    return await withFleet({ ...argv, mayHaveLeft: true }, async (context) => {
      const observed = await listContainers(context.opened, { signal: context.signal });
      const states = selectedContainers(context, observed).map(({ host, container }) => ({
        ...container.state,
        annotations: { ...container.state.annotations, "io.nexcage.host": host },
      }));
      context.progress.pause();
      if (argv.output === "json") printJson(states);
      else for (const state of states) printJson(state);
      return lookExitCode(context);
    });
  },
});
