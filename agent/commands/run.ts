import yargs from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { version } from "../../shared/version.ts";
import { logLevels } from "../log.ts";
import { create } from "./create.ts";
import { deleteCommand } from "./delete.ts";
import { doctor } from "./doctor.ts";
import { exec } from "./exec.ts";
import { features } from "./features.ts";
import { kill } from "./kill.ts";
import { list } from "./list.ts";
import { logs } from "./logs.ts";
import { ps } from "./ps.ts";
import { serve } from "./serve.ts";
import { start } from "./start.ts";
import { state } from "./state.ts";
import { stop } from "./stop.ts";

/** Runs the command line's one command. @throws {NexcageError} `USAGE`, and what the command throws */
export async function runCommand(args: string[]): Promise<void> {
  const parser = yargs(args)
    .scriptName("nexcage-agent")
    .usage("$0 <command>: containers on this host")
    .options({
      root: {
        type: "string",
        requiresArg: true,
        describe: "folder of the OCI state; the agent's others move into it",
      },
      "log-level": { type: "string", choices: logLevels, describe: "what goes to stderr" },
      "lock-timeout": {
        type: "string",
        requiresArg: true,
        describe: "how long to wait for another command on the same container, such as 30s",
      },
      output: {
        alias: "o",
        type: "string",
        choices: ["text", "json"] as const,
        describe: "how results are printed",
      },
    })
    .command(create)
    .command(start)
    .command(state)
    .command(list)
    .command(ps)
    .command(kill)
    .command(stop)
    .command(deleteCommand)
    .command(exec)
    .command(logs)
    .command(features)
    .command(doctor)
    .command(serve)
    .command("version", "Print the version", {}, () => {
      process.stdout.write(`nexcage-agent ${version}\n`);
    })
    .version(`nexcage-agent ${version}`)
    .demandCommand(1, 1, "a command is missing", "one command at a time")
    .recommendCommands()
    .strict()
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      // What a handler threw is the error; some of yargs's own complaints come as one too.
      if (error && error.name !== "YError") throw error;
      const complaint = (message || error?.message || "").replaceAll(/\s*\n\s*/g, " ");
      throw new NexcageError("USAGE", complaint, { hint: "nexcage-agent --help" });
    })
    .parserConfiguration({ "populate--": true, "duplicate-arguments-array": true });
  await parser.parseAsync();
}
