import { command } from "./command.ts";
import { fileOptions } from "./options.ts";

export const inventoryShow = command({
  command: "show",
  describe: "Show the hosts, and which container goes where, without asking them",
  builder: (yargs) => fileOptions(yargs),
  async handler(argv) {
    const { loadFiles } = await import("./load-files.ts");
    const { inventoryJson, inventoryText } = await import("../report/inventory.ts");
    const { printJson } = await import("./print.ts");
    const resolved = await loadFiles(argv);
    if (argv.output === "json") printJson(inventoryJson(resolved));
    else process.stdout.write(inventoryText(resolved));
    return 0;
  },
});
