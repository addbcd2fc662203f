import { command } from "./command.ts";
import { withId } from "./container-id.ts";
import { throwNotHere } from "./not-here.ts";

export const events = command({
  command: "events [id]",
  describe: "Print what a container uses as lines of JSON, again and again",
  builder: (yargs) =>
    withId(yargs).option("stats", { type: "boolean", describe: "once, and end" }).option("interval", {
      type: "string",
      requiresArg: true,
      defaultDescription: "5s",
      describe: "how long from one to the next",
    }),
  handler: () => throwNotHere("events"),
});
