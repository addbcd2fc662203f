import { command } from "./command.ts";
import { changeOptions } from "./options.ts";

export const fleetAdopt = command({
  command: "adopt <host> <vmids..>",
  describe:
    "Take over guests of Proxmox's as they are: print their YAML, and once the fleet has it mark them",
  builder: (yargs) =>
    changeOptions(yargs)
      .positional("host", {
        type: "string",
        demandOption: true,
        completes: "hosts",
        describe: "the node that they are on",
      })
      .positional("vmids", { type: "number", array: true, demandOption: true, describe: "100 101" })
      .option("write", {
        type: "string",
        requiresArg: true,
        completes: "file",
        describe: "add them to this file, the fleet's, and mark them",
      })
      .option("template", {
        type: "string",
        requiresArg: true,
        describe: "what new ones would be made from [default: the newest of their system there]",
      }),
  async handler(argv) {
    const { lockHolder, withFleet } = await import("./with-fleet.ts");
    const { parseLockTimeout } = await import("./planning.ts");
    const { printJson } = await import("./print.ts");
    const { loadFiles } = await import("./load-files.ts");
    const { newOperationId } = await import("../operation-id.ts");
    const { lockHosts } = await import("../apply/lock.ts");
    const { adoptGuests, describeGuests, requireOneHost, writeEntries } = await import("../adopt/adopt.ts");
    const { containersText } = await import("../adopt/yaml.ts");
    const { host, vmids, write, template } = argv;
    return await withFleet({ ...argv, limit: host, containers: [] }, async (context) => {
      const { fleet, opened, progress, signal } = context;
      const agent = requireOneHost(context, host);
      const holder = lockHolder(new Date());
      const waitMs = parseLockTimeout(argv["lock-timeout"]) ?? fleet.lockWaitMs;
      await lockHosts(opened, { fleet: fleet.name, holder, waitMs, emit: progress.emit, signal });
      const entries = await describeGuests(agent, { vmids, template, wanted: fleet.wanted, signal });
      const load = async () => (await loadFiles(argv)).fleet?.wanted ?? [];
      const wanted =
        write === undefined || entries.length === 0
          ? fleet.wanted
          : await writeEntries(entries, { file: write, host, load });
      const named = vmids.filter((vmid) => write !== undefined || !entries.some((one) => one.vmid === vmid));
      const adopted = await adoptGuests(agent, {
        vmids: named,
        wanted,
        fleet: fleet.name,
        newOperationId,
        signal,
      });
      progress.pause();
      const left = write === undefined ? entries : [];
      if (argv.output === "json") printJson({ host, adopted, left: left.map(({ vmid }) => vmid) });
      else {
        if (left.length > 0) {
          process.stdout.write(containersText(left, host));
          process.stderr.write(
            "nothing was changed: put this into your fleet and run the same again, or add --write FILE\n",
          );
        }
        for (const { id, vmid, changed } of adopted)
          process.stdout.write(
            `${id}@${host}: guest ${vmid} ${changed ? "is" : "was already"} this fleet's\n`,
          );
      }
      return 0;
    });
  },
});
