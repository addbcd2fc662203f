import type { Argv, CommandModule } from "yargs";

/**
 * A command as data: name, options, and a handler that parses, calls once, and reports. Its promise gives
 * the exit status; 0 where it gives none. Gives the handler the builder's types.
 */
export function command<A>(module: {
  command: string;
  /** false hides it from the help, the manual and completion. */
  describe: string | false;
  builder: (yargs: Argv) => Argv<A>;
  handler: (argv: A & { "--"?: unknown }) => Promise<number | undefined>;
}): Command {
  const { handler, ...rest } = module;
  return { ...rest, run: handler } as Command; // yargs hands the handler what its builder made
}

export type Command = Pick<CommandModule, "command" | "describe" | "builder"> & {
  run: (argv: unknown) => Promise<number | undefined>;
};
