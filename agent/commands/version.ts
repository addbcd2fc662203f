import { version } from "../../shared/version.ts";
import { command, print } from "./command.ts";

export const versionCommand = command({
  command: "version",
  describe: "Print the version",
  builder: (yargs) => yargs,
  async handler() {
    print(`nexcage-agent ${version}`);
  },
});
