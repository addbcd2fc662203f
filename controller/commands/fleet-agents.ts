import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetAgents = command({
  command: "agents",
  describe: "Show which agent each host has, and whether it is this nexcage's",
  builder: (yargs) => fleetOptions(yargs),
  async handler(argv) {
    const { openFleet } = await import("../fleet.ts");
    const { agentsJson, agentsText } = await import("../report/agents.ts");
    const { findBuilds } = await import("../bootstrap/agent-build.ts");
    const { exitCodes } = await import("../../shared/errors.ts");
    const { printJson } = await import("./print.ts");
    const { withHosts } = await import("./with-hosts.ts");
    return await withHosts(argv, async ({ hosts, connect, progress, signal }) => {
      const { emit } = progress;
      await using opened = await openFleet(hosts, { connect, forks: argv.forks, emit, signal });
      const builds = await findBuilds(undefined).catch(() => []);
      const own = builds.map(({ build }) => build);
      progress.pause();
      if (argv.output === "json") printJson(agentsJson(hosts, { opened, own }));
      else process.stdout.write(agentsText(hosts, { opened, own }));
      return opened.unreachable.size === 0 ? 0 : exitCodes.HOST_UNREACHABLE;
    });
  },
});
