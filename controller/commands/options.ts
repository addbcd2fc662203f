import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";

/** What `--file` is for short: not `f` where users know that as `--follow`. */
type ShortForm = { short?: string | string[] };

/** The files that a command is about. */
export function fileOption<A>(yargs: Argv<A>, { short = "f" }: ShortForm = {}) {
  return yargs.option("file", {
    alias: short,
    type: "string",
    array: true,
    requiresArg: true,
    completes: "yaml",
    describe: "YAML files to read [default: inventory.yaml and fleet.yaml here]",
  });
}

/** The options that each command over files takes. */
export function fileOptions<A>(yargs: Argv<A>, short: ShortForm = {}) {
  return fileOption(yargs, short).option("output", {
    alias: "o",
    choices: ["text", "json"] as const,
    default: "text" as const,
    requiresArg: true,
    describe: "what stdout gets",
  });
}

/** Those that each command over hosts takes beside them. */
export function fleetOptions<A>(yargs: Argv<A>, short: ShortForm = {}) {
  return fileOptions(yargs, short)
    .option("limit", {
      alias: "l",
      type: "string",
      requiresArg: true,
      completes: "limit",
      describe: "hosts and groups only: web*,prod,!pve3,&hel",
    })
    .option("forks", {
      type: "number",
      default: 32,
      requiresArg: true,
      describe: "hosts at once",
      coerce: requireForks,
    })
    .option("log-format", {
      choices: ["text", "json"] as const,
      default: "text" as const,
      requiresArg: true,
      describe: "what stderr gets while it works",
    })
    .option("verbose", { alias: "v", type: "boolean", default: false, describe: "show each step" });
}

/** Those of commands that change containers. */
export function changeOptions<A>(yargs: Argv<A>) {
  return fleetOptions(yargs)
    .option("yes", { alias: "y", type: "boolean", default: false, describe: "do not ask before destroying" })
    .option("lock-timeout", {
      type: "string",
      requiresArg: true,
      describe: "wait so long for another controller of this fleet, such as 5m",
    });
}

function requireForks(forks: number): number {
  if (Number.isInteger(forks) && forks > 0) return forks;
  throw new NexcageError("USAGE", "--forks wants a whole number from 1 on");
}
