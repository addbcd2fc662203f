import { command } from "./command.ts";
import { fileOptions } from "./options.ts";

export const inventoryCheck = command({
  command: "check",
  describe: "Check the files, and show every mistake in them",
  builder: (yargs) => fileOptions(yargs),
  async handler(argv) {
    const { loadFiles } = await import("./load-files.ts");
    const { requireRootfs } = await import("../inventory/files.ts");
    const { checkedJson, checkedText } = await import("../report/inventory.ts");
    const { printJson } = await import("./print.ts");
    const resolved = await loadFiles(argv);
    if (resolved.fleet !== undefined) await requireRootfs(resolved.fleet);
    if (argv.output === "json") printJson(checkedJson(resolved));
    else process.stdout.write(checkedText(resolved));
    return 0;
  },
});
