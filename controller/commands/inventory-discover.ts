import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { command } from "./command.ts";
import { meetingOptions } from "./meeting.ts";
import { fileOptions } from "./options.ts";

export const inventoryDiscover = command({
  command: "discover <host>",
  describe: "List the nodes of a Proxmox cluster, asked of one of them",
  builder: (yargs) =>
    meetingOptions(fileOptions(yargs))
      .positional("host", {
        type: "string",
        demandOption: true,
        completes: "hosts",
        describe: "a host of the inventory, or its address: [user@]address[:port]",
      })
      .option("write", {
        alias: "w",
        type: "string",
        requiresArg: true,
        completes: "file",
        describe: "meet those that the inventory lacks, and add them to this file",
      }),
  async handler(argv) {
    const { addNodes, discoverCluster } = await import("../init/discover.ts");
    const { clusterJson, clusterText } = await import("../report/cluster.ts");
    const { interrupted } = await import("./interrupt.ts");
    const { loadFiles } = await import("./load-files.ts");
    const { confirmKey } = await import("./meeting.ts");
    const { printJson } = await import("./print.ts");
    const { connectTo } = await import("./with-fleet.ts");
    const signal = interrupted();
    const hasFiles = argv.file !== undefined || existsSync("inventory.yaml");
    const inventory = hasFiles ? (await loadFiles(argv)).hosts : [];
    const options = {
      inventory,
      identity: argv.identity,
      folder: process.cwd(),
      home: homedir(),
      connect: await connectTo(inventory),
      confirmKey: confirmKey(argv, { signal }),
      signal,
    };
    const found = await discoverCluster(argv.host, options);
    const added = argv.write === undefined ? [] : await addNodes(found, { ...options, file: argv.write });
    if (argv.output === "json") printJson(clusterJson(found, { inventory, added }));
    else process.stdout.write(clusterText(found, { inventory, added }));
    return 0;
  },
});
