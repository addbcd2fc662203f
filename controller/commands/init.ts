import { homedir } from "node:os";
import { command } from "./command.ts";
import { meetingOptions } from "./meeting.ts";

export const init = command({
  command: "init [hosts..]",
  describe: "Meet hosts, and write an inventory.yaml and a fleet.yaml to begin with",
  builder: (yargs) =>
    meetingOptions(yargs)
      .positional("hosts", {
        type: "string",
        array: true,
        describe: "as ssh takes them: [user@]address[:port]",
      })
      .option("name", {
        type: "string",
        requiresArg: true,
        describe: "the fleet's name [default: that of this folder]",
      }),
  async handler(argv) {
    const { initialise, requireNewFiles } = await import("../init/init.ts");
    const { parseAddress } = await import("../init/address.ts");
    const { askLine } = await import("./ask.ts");
    const { interrupted } = await import("./interrupt.ts");
    const { confirmKey } = await import("./meeting.ts");
    const { connectTo } = await import("./with-fleet.ts");
    const { NexcageError } = await import("../../shared/errors.ts");
    const { printable } = await import("../report/printable.ts");
    const signal = interrupted();
    const cwd = process.cwd();
    await requireNewFiles(cwd);
    let hosts = argv.hosts ?? [];
    if (hosts.length === 0 && process.stdin.isTTY && process.stderr.isTTY)
      hosts = (await askLine("Hosts, as ssh takes them (root@10.20.0.11 …): ", { signal })).split(/[\s,]+/);
    hosts = hosts.filter((host) => host !== "");
    if (hosts.length === 0)
      throw new NexcageError("USAGE", "init wants a host", { hint: "nexcage init root@10.20.0.11" });
    const files = await initialise(hosts.map(parseAddress), {
      folder: cwd,
      home: homedir(),
      name: argv.name,
      identity: argv.identity,
      connect: await connectTo([]),
      confirmKey: confirmKey(argv, { signal }),
      signal,
    });
    for (const { name, met } of files.hosts)
      process.stderr.write(
        `${name}: ${met.look.proxmox ? "Proxmox VE" : "no Proxmox VE"}, reached as ${printable(met.user)}\n`,
      );
    process.stdout.write(
      `Wrote inventory.yaml and fleet.yaml. Next:\n  nexcage fleet bootstrap\n  nexcage fleet plan\n  nexcage fleet apply\n`,
    );
    return 0;
  },
});
