import { command } from "./command.ts";
import { fileOptions } from "./options.ts";

export const inventoryExplain = command({
  command: "explain <host>",
  describe: "Show where each setting of a host comes from, file and line",
  builder: (yargs) =>
    fileOptions(yargs).positional("host", {
      type: "string",
      demandOption: true,
      completes: "hosts",
      describe: "the host's name",
    }),
  async handler(argv) {
    const { loadFiles } = await import("./load-files.ts");
    const { explainText } = await import("../report/inventory.ts");
    const { printJson } = await import("./print.ts");
    const settings = (await loadFiles(argv)).explain(argv.host);
    if (argv.output === "json") printJson({ host: argv.host, settings });
    else process.stdout.write(explainText(settings));
    return 0;
  },
});
