import yargs from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { exitText } from "../../shared/exit-text.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { nearestHint } from "../../shared/nearest.ts";
import { version } from "../../shared/version.ts";
import { table } from "./table.ts";

const { about, bareOptions, commands, commonOptions, exitStatuses } = table;

/** Global options with a word of their own behind them. */
const withValue = [
  ...Object.entries(commonOptions).flatMap(([name, option]) =>
    "type" in option && option.type === "boolean" ? [] : [`--${name}`],
  ),
  "-o",
];

/** What OCI clients may ask for, and this libcrun is built without. */
const notBuiltIn: readonly string[] = ["checkpoint", "restore"];

/** @throws {NexcageError} `USAGE` naming the word that is no command, and the nearest one that is */
function requireKnown(args: string[]): void {
  const word = args.find((one, index) => !one.startsWith("-") && !withValue.includes(args[index - 1] ?? ""));
  const known = [...commands.map(({ command }) => String(command).split(" ")[0] ?? ""), "help"];
  if (word === undefined || known.includes(word)) return;
  if (notBuiltIn.includes(word))
    throw new NexcageError("USAGE", `${word} is not built in`, { hint: "libcrun is here without CRIU" });
  throw new NexcageError("USAGE", `${quoteForMessage(word)} is not a command`, {
    hint: nearestHint(word, known, "commands"),
  });
}

/** Runs the command line's one command. @throws {NexcageError} `USAGE`, and what the command throws */
export async function runCommand(args: string[]): Promise<void> {
  requireKnown(args);
  const parser = yargs(args)
    .scriptName("nexcage-agent")
    .usage(`$0 <command>\n\n${about}`)
    .options(commonOptions)
    .command(commands)
    .help("help", bareOptions.help.describe)
    .alias("help", bareOptions.help.alias)
    .version("version", bareOptions.version.describe, `nexcage-agent ${version}`)
    .alias("version", bareOptions.version.alias)
    .epilogue(exitText(exitStatuses))
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
