import yargs from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { exitText } from "../../shared/exit-text.ts";
import { nearestHint } from "../../shared/nearest.ts";
import type { Command } from "./command.ts";
import { table } from "./table.ts";

const { about, commands, commonOptions, exitStatuses, groups } = table;

/**
 * Runs one command line and gives its exit status.
 * @throws {NexcageError} `USAGE` for what is none, and whatever the command throws
 */
export async function runCommandLine(words: string[]): Promise<number> {
  const add = (to: ReturnType<typeof yargs>, modules: Command[]) => {
    for (const { run, ...module } of modules)
      to.command({
        ...module,
        handler(argv) {
          throw new Chosen(() => run(argv));
        },
      });
    return to;
  };
  const parser = yargs()
    .scriptName("nexcage")
    .usage(`$0 <command>\n\n${about}`)
    .demandCommand(1, "nexcage needs a command")
    .strict()
    .recommendCommands()
    .parserConfiguration({
      "populate--": true,
      "greedy-arrays": false,
      "duplicate-arguments-array": true,
      "boolean-negation": false,
    })
    .version(false)
    .help("help", commonOptions.help.describe)
    .alias("help", commonOptions.help.alias)
    .wrap(Math.min(100, process.stdout.columns || 100))
    .epilogue(exitText(exitStatuses))
    .exitProcess(false)
    .fail(false);
  for (const { name, describe, commands: below } of groups)
    parser.command(name, describe, (group) => add(group, below).demandCommand(1, `${name} needs a command`));
  add(parser, commands);
  try {
    await parser.parseAsync(words);
    return 0;
  } catch (error) {
    if (error instanceof Chosen) return (await error.run()) ?? 0;
    if (error instanceof NexcageError || !isUsageError(error)) throw error;
    throw unknownCommand(words) ?? usageError(error.message, words);
  }
}

/**
 * What ends yargs's part as soon as it knows the command: once a handler has run it composes the help text, which
 * takes longer than most commands need to connect.
 */
class Chosen extends Error {
  readonly run: () => ReturnType<Command["run"]>;

  constructor(run: Chosen["run"]) {
    super("a command was chosen");
    this.run = run;
  }
}

function usageError(complaint: string, words: string[]): NexcageError {
  const named = words.filter((word) => /^[a-z]+$/.test(word)).slice(0, 2);
  // yargs counts --no-such once more, as noSuch.
  const once = complaint.replace(/^Unknown arguments?: (\w+-[\w-]+), [a-zA-Z]+$/, "Unknown argument: $1");
  return new NexcageError("USAGE", lowerFirst(once.replaceAll(/\s*\n\s*/g, " ")), {
    hint: ["nexcage", ...named, "--help"].join(" "),
  });
}

/** What yargs's complaint leaves out: the word that is no command. */
function unknownCommand([first = "", second = ""]: string[]): NexcageError | undefined {
  const group = groups.find(({ name }) => name === first);
  const shown = ({ describe }: Command): boolean => describe !== false;
  const [word, known] =
    group === undefined
      ? [first, [...groups.map(({ name }) => name), ...commands.filter(shown).map(nameOf)]]
      : [second, group.commands.map(nameOf)];
  if (word === "" || word.startsWith("-") || known.includes(word)) return undefined;
  const parent = group === undefined ? "nexcage" : `nexcage ${first}`;
  return new NexcageError("USAGE", `${parent} has no command ${JSON.stringify(word)}`, {
    hint: nearestHint(word, known, "commands"),
  });
}

const nameOf = ({ command }: Command): string => String(command).replace(/ .*/, "");

/** yargs throws its own complaints as YError, or as a plain Error from `strict` and `demandCommand`. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && (error.name === "YError" || error.constructor === Error);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
