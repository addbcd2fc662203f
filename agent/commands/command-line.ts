import yargs, { type CommandModule } from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { nearestHint } from "../../shared/nearest.ts";
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
import { metrics } from "./metrics.ts";
import { pause } from "./pause.ts";
import { ps } from "./ps.ts";
import { restart } from "./restart.ts";
import { resume } from "./resume.ts";
import { route } from "./route.ts";
import { run } from "./run.ts";
import { serve } from "./serve.ts";
import { start } from "./start.ts";
import { state } from "./state.ts";
import { stop } from "./stop.ts";

/** In the order of the help. */
const commands = [
  create,
  run,
  start,
  state,
  list,
  ps,
  kill,
  stop,
  restart,
  pause,
  resume,
  deleteCommand,
  exec,
  logs,
  route,
  features,
  doctor,
  metrics,
  serve,
] as CommandModule[]; // each has options of its own

/** Global options with a word of their own behind them. */
const withValue = ["--root", "--config", "--log-level", "--lock-timeout", "--output", "-o"];

/** @throws {NexcageError} `USAGE` naming the word that is no command, and the nearest one that is */
function requireKnown(args: string[]): void {
  const word = args.find((one, index) => !one.startsWith("-") && !withValue.includes(args[index - 1] ?? ""));
  const known = [...commands.map(({ command }) => String(command).split(" ")[0] ?? ""), "version", "help"];
  if (word === undefined || known.includes(word)) return;
  throw new NexcageError("USAGE", `${quoteForMessage(word)} is not a command`, {
    hint: nearestHint(word, known, "commands"),
  });
}

/** Runs the command line's one command. @throws {NexcageError} `USAGE`, and what the command throws */
export async function runCommand(args: string[]): Promise<void> {
  requireKnown(args);
  const parser = yargs(args)
    .scriptName("nexcage-agent")
    .usage("$0 <command>: containers on this host")
    .options({
      root: {
        type: "string",
        requiresArg: true,
        describe: "folder of the OCI state; the agent's others move into it",
      },
      config: {
        type: "string",
        requiresArg: true,
        defaultDescription: "/etc/nexcage/config.yaml, else config.json there",
        describe: "file with this host's settings; 0.7's config.json too",
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
    .command(commands)
    .command("version", "Print the version", {}, () => {
      process.stdout.write(`nexcage-agent ${version}\n`);
    })
    .version(`nexcage-agent ${version}`)
    .demandCommand(1, 1, "a command is missing", "one command at a time")
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
