import { type Command, type Completes, type Option, optionsOf, type Program } from "../command-table.ts";

/** What `complete` is asked for, by what stands in a place. */
export const asked = {
  hosts: ["hosts"],
  limit: ["hosts", "groups"],
  wanted: ["wanted"],
  containers: ["containers"],
} as const satisfies Partial<Record<Completes, string[]>>;

/** The program's name as a part of a shell function's. */
export const functionName = ({ name }: Program): string => `_${name.replaceAll("-", "_")}`;

/** A text as one word of any of the three shells. */
export function quote(text: string, shell: "posix" | "fish"): string {
  if (shell === "fish") return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

export type Place = {
  /** The words of a command, a group or, empty, of the program. */
  path: string[];
  next: { name: string; describe: string }[];
  command: Command | undefined;
  options: Option[];
};

/** Every place where a word of a command line can be, from the program's own on. */
export function placesOf({ groups, commands, commonOptions, bareOptions }: Program): Place[] {
  const nextBelow = (group: string | undefined) =>
    commands.flatMap(({ path, describe }) =>
      (group === undefined ? path.length === 1 : path.length === 2 && path[0] === group)
        ? [{ name: path.at(-1) ?? "", describe }]
        : [],
    );
  return [
    {
      path: [],
      next: [...groups, ...nextBelow(undefined)],
      command: undefined,
      options: [...commonOptions, ...bareOptions],
    },
    ...groups.map(({ name }) => ({
      path: [name],
      next: nextBelow(name),
      command: undefined,
      options: [...sharedOptions(commands.filter(({ path }) => path[0] === name)), ...commonOptions],
    })),
    ...commands.map((command) => ({
      path: command.path,
      next: [],
      command,
      options: optionsOf(command, { commonOptions }),
    })),
  ];
}

/** What may stand before the command, because each takes it. */
function sharedOptions([first, ...others]: Command[]): Option[] {
  const has = (command: Command, { flags }: Option): boolean =>
    command.options.some((option) => option.flags.join() === flags.join());
  return (first?.options ?? []).filter((option) => others.every((other) => has(other, option)));
}
