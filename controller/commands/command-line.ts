import yargs from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/nearest.ts";
import type { Command } from "./command.ts";
import { fleetCommands } from "./fleet.ts";
import { init } from "./init.ts";
import { inventoryCommands } from "./inventory.ts";
import { schema } from "./schema.ts";

const groups = new Map([
  ["fleet", fleetCommands],
  ["inventory", inventoryCommands],
]);

const topCommands = [init, schema];

/**
 * Runs one command line and gives its exit status.
 * @throws {NexcageError} `USAGE` for what is none, and whatever the command throws
 */
export async function runCommandLine(words: string[]): Promise<number> {
  const add = (to: ReturnType<typeof yargs>, commands: Command[]) => {
    for (const { run, ...module } of commands)
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
    .usage("$0 <command>\n\nContainers on a fleet of Proxmox VE hosts, as YAML says, over SSH.")
    .command("fleet", "Plan, apply and look after a fleet", (fleet) =>
      add(fleet, fleetCommands).demandCommand(1, "fleet needs a command"),
    )
    .command("inventory", "Check and show the files", (inventory) =>
      add(inventory, inventoryCommands).demandCommand(1, "inventory needs a command"),
    )
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
    .help()
    .alias("help", "h")
    .wrap(Math.min(100, process.stdout.columns || 100))
    .epilogue(
      "Exit: 0 done, 1 failed, 2 there are changes (--detailed-exitcode), 3 partial, 4 unreachable,\n5 lock held, 9 refused, 10 needs --yes, 64 usage or invalid files, 130 interrupted.",
    )
    .exitProcess(false)
    .fail(false);
  add(parser, topCommands);
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
  const group = groups.get(first);
  const [word, known] =
    group === undefined
      ? [first, [...groups.keys(), ...topCommands.map(nameOf)]]
      : [second, group.map(nameOf)];
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
