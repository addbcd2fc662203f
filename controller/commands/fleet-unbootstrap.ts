import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetUnbootstrap = command({
  command: "unbootstrap",
  describe: "Take the agent from hosts; their containers stay and go on",
  builder: (yargs) =>
    fleetOptions(yargs).option("yes", {
      alias: "y",
      type: "boolean",
      default: false,
      describe: "do not ask before",
    }),
  async handler(argv) {
    const { unbootstrapHost } = await import("../bootstrap/bootstrap.ts");
    const { onHosts } = await import("../bootstrap/on-hosts.ts");
    const { unbootstrapJson, unbootstrapText } = await import("../report/bootstrap.ts");
    const { confirmDestruction } = await import("./ask.ts");
    const { printJson } = await import("./print.ts");
    const { exitCodeOfHosts, withHosts } = await import("./with-hosts.ts");
    return await withHosts(argv, async ({ hosts, connect, progress, color, signal }) => {
      const names = hosts.map(({ name }) => name).join(", ");
      await confirmDestruction(`remove the agent from ${names}`, { yes: argv.yes, signal });
      const { emit } = progress;
      const outcomes = await onHosts(hosts, { connect, forks: argv.forks, emit, signal }, (host, transport) =>
        unbootstrapHost(host, transport, { signal }),
      );
      progress.pause();
      if (argv.output === "json") printJson(unbootstrapJson(outcomes));
      else process.stdout.write(unbootstrapText(outcomes, { color }));
      return exitCodeOfHosts(outcomes, { signal });
    });
  },
});
