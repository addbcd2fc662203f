import type { Argv, CommandModule, Options, PositionalOptions } from "yargs";

/*
 * The commands as plain data, read from the modules that yargs runs: for manual pages, shell completion and the
 * reference. Nothing is said of a command or an option anywhere but in its module.
 */

/**
 * What stands in a place whose words are not a short list. `yaml` are the files that names come from; `wanted` the
 * containers in them, `containers` also those that are on the hosts and in no file any more.
 */
export type Completes = "yaml" | "file" | "folder" | "hosts" | "limit" | "wanted" | "containers";

declare module "yargs" {
  interface Options {
    completes?: Completes;
  }
  interface PositionalOptions {
    completes?: Completes;
  }
}

type Described = {
  describe: string;
  default: string | undefined;
  choices: readonly string[] | undefined;
  completes: Completes | undefined;
};

export type Option = Described & {
  /** As they are typed, the long one first: `--file`, `-f`. */
  flags: string[];
  /** What its value is called, as in `FILE`; undefined for a switch. */
  value: string | undefined;
  isValueOptional: boolean;
  isRepeatable: boolean;
};

/** A word of a command that is no option, as `<host>` or `[containers..]`. */
export type Operand = Described & { name: string; isRequired: boolean; isMany: boolean };

export type Command = {
  /** The words that name it, as `fleet`, `apply`. */
  path: string[];
  describe: string;
  operands: Operand[];
  options: Option[];
  /** What its help ends with. */
  epilogue: string | undefined;
};

type Module = Pick<CommandModule, "command" | "describe" | "builder">;

/** What yargs is given of a program, and what holds for all of its commands. */
export type Table = {
  name: string;
  about: string;
  groups: readonly { name: string; describe: string; commands: readonly Module[] }[];
  /** Those of no group. */
  commands: readonly Module[];
  /** What each command takes beside its own options. */
  commonOptions: Readonly<Record<string, Options>>;
  /** What the program takes without a command. */
  bareOptions: Readonly<Record<string, Options>>;
  exitStatuses: Readonly<Record<number, string>>;
  names: Names;
};

/**
 * Where names come from that no completion script can hold: `files`, the program's own hidden command that reads the
 * user's YAML; or `records`, the files in `containers` below a folder of this host, whose names end in `.json`.
 */
export type Names = { from: "files" } | { from: "records"; folder: string; variable: string };

export type Program = Pick<Table, "name" | "about" | "exitStatuses" | "names"> & {
  groups: { name: string; describe: string }[];
  /** Without the hidden ones. */
  commands: Command[];
  commonOptions: Option[];
  bareOptions: Option[];
};

export function readProgram({ name, about, exitStatuses, names, ...table }: Table): Program {
  return {
    name,
    about,
    exitStatuses,
    names,
    groups: table.groups.map((group) => ({ name: group.name, describe: group.describe })),
    commands: [
      ...table.groups.flatMap((group) => readCommands(group.commands, group.name)),
      ...readCommands(table.commands),
    ],
    commonOptions: readOptions(table.commonOptions),
    bareOptions: readOptions(table.bareOptions),
  };
}

/** All that a command takes: of a common option that it has its own meaning for, only that. */
export function optionsOf(command: Command, { commonOptions }: Pick<Program, "commonOptions">): Option[] {
  const own = new Set(command.options.map(({ flags }) => flags[0]));
  return [...command.options, ...commonOptions.filter(({ flags }) => !own.has(flags[0]))];
}

/** `group` is the word before theirs. */
function readCommands(modules: readonly Module[], group?: string): Command[] {
  return modules.flatMap(({ command, describe, builder }) => {
    if (typeof describe !== "string") return [];
    const [name = "", ...operands] = String(command).split(" ");
    const recorded = record(builder);
    return {
      path: group === undefined ? [name] : [group, name],
      describe,
      operands: operands.map((word) => operandOf(word, recorded.positionals)),
      options: readOptions(recorded.options),
      epilogue: recorded.epilogue,
    };
  });
}

function readOptions(options: Readonly<Record<string, Options>>): Option[] {
  return Object.entries(options).map(([name, option]) => ({
    ...describedBy(option),
    flags: [name, ...[option.alias ?? []].flat()].map((flag) => (flag.length > 1 ? `--${flag}` : `-${flag}`)),
    value: placeholderOf(name, option),
    isValueOptional: option.type === "string" && option.requiresArg !== true && option.choices === undefined,
    isRepeatable: option.array === true,
  }));
}

type Recorded = {
  options: Record<string, Options>;
  positionals: Record<string, PositionalOptions & Options>;
  epilogue: string | undefined;
};

/** What a builder asks of yargs. A method that no builder has used yet is missing here, and says so by failing. */
function record(builder: Module["builder"]): Recorded {
  const recorded: Recorded = { options: {}, positionals: {}, epilogue: undefined };
  const recorder = {
    option(name: string, option: Options) {
      recorded.options[name] = option;
      return recorder;
    },
    positional(name: string, option: PositionalOptions) {
      recorded.positionals[name] = option;
      return recorder;
    },
    epilogue(text: string) {
      recorded.epilogue = text;
      return recorder;
    },
    example: () => recorder,
    parserConfiguration: () => recorder,
  };
  if (typeof builder === "function") builder(recorder as unknown as Argv); // as much of it as builders use
  return recorded;
}

function operandOf(word: string, positionals: Recorded["positionals"]): Operand {
  const name = word.replace(/[^\w-]/g, "");
  return {
    ...describedBy(positionals[name] ?? {}),
    name,
    isRequired: word.startsWith("<"),
    isMany: word.includes(".."),
  };
}

function describedBy(option: Options): Described {
  // Where the default is not the parser's but the program's, the description ends with it.
  const [, describe = "", said] = /^(.*?)(?: \[default: (.+)\])?$/s.exec(option.describe ?? "") ?? [];
  const { default: value, defaultDescription, choices, completes } = option;
  const isTold = value !== undefined && value !== false;
  return {
    describe,
    default: said ?? defaultDescription ?? (isTold ? String(value) : undefined),
    choices: choices?.map(String),
    completes,
  };
}

function placeholderOf(name: string, { type, choices, completes, requiresArg }: Options): string | undefined {
  if (type === "boolean") return undefined;
  if (choices !== undefined) return choices.join("|");
  if (completes === "yaml" || completes === "file") return "FILE";
  if (completes === "folder") return "FOLDER";
  if (type === "string" && requiresArg !== true) return "VALUE"; // the option's name need not be its value's
  return type === "number" ? "N" : name.replace(/.*-/, "").toUpperCase();
}
