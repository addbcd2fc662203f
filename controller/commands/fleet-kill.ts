import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetKill = command({
  command: "kill <containers..>",
  describe: "Send a signal to the init process of each container",
  builder: (yargs) =>
    fleetOptions(yargs)
      .positional("containers", {
        type: "string",
        array: true,
        demandOption: true,
        completes: "containers",
        describe: "web, web-*, db@pve1, '*'",
      })
      .option("signal", {
        alias: "s",
        type: "string",
        default: "SIGTERM",
        requiresArg: true,
        describe: "name or number",
      }),
  async handler(argv) {
    const { withFleet } = await import("./with-fleet.ts");
    const { lookExitCode } = await import("./planning.ts");
    const { selectedContainers } = await import("./selected.ts");
    const { printJson } = await import("./print.ts");
    const { asNexcageError, exitCodes } = await import("../../shared/errors.ts");
    const { newOperationId } = await import("../operation-id.ts");
    const { listContainers } = await import("../list.ts");
    const { errorText } = await import("../report/lines.ts");
    return await withFleet({ ...argv, mayHaveLeft: true }, async (context) => {
      const { fleet, opened, progress, signal } = context;
      const observed = await listContainers(opened, { signal });
      const results = await Promise.all(
        selectedContainers(context, observed).map(async ({ host, container, agent }) => {
          const id = container.id;
          try {
            const { changed, container: after } = await agent.request(
              "container/kill",
              { operationId: newOperationId(), fleet: fleet.name, id, signal: argv.signal },
              { signal },
            );
            return { id, host, signal: argv.signal, changed, state: after?.state };
          } catch (error) {
            return { id, host, signal: argv.signal, changed: false, error: asNexcageError(error) };
          }
        }),
      );
      progress.pause();
      if (argv.output === "json") printJson({ fleet: fleet.name, containers: results });
      else
        for (const { id, host, changed, error } of results) {
          const said = changed ? `sent ${argv.signal}` : "was stopped already";
          process.stdout.write(`${id}@${host}: ${error === undefined ? said : errorText(error)}\n`);
        }
      const failed = results.filter(({ error }) => error !== undefined);
      if (failed.length === 0) return lookExitCode(context);
      return failed.length < results.length ? exitCodes.PARTIAL : (failed[0]?.error?.exitCode ?? 1);
    });
  },
});
