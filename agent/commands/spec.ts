import { command } from "./command.ts";
import { throwNotHere } from "./not-here.ts";

export const spec = command({
  command: "spec",
  describe: "Write a config.json to begin with",
  builder: (yargs) =>
    yargs
      .option("bundle", {
        alias: "b",
        type: "string",
        requiresArg: true,
        defaultDescription: "the current folder",
        completes: "folder",
        describe: "the folder to write it into",
      })
      .option("file", {
        alias: "f",
        type: "string",
        requiresArg: true,
        defaultDescription: "config.json",
        completes: "file",
        describe: "its name; one that is there stays as it is",
      })
      .option("rootless", { type: "boolean", describe: "for another user than root" }),
  handler: () => throwNotHere("spec"),
});
