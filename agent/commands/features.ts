import { command, printJson } from "./command.ts";
import { openAgent } from "./open.ts";

export const features = command({
  command: "features",
  describe: "Print what this host can run, and what not and why, as JSON",
  builder: (yargs) => yargs,
  async handler(globals) {
    await using opened = await openAgent(globals);
    printJson(await opened.runtime.features());
  },
});
