import type { Command, Operand, Option, Program } from "../shared/command-table.ts";

/* How manual pages and the reference say what the table of commands holds. */

/** The words after a command's name, as in `[option ...] <container> [command ...]`. */
export function usage({ operands }: Command): string {
  const words = operands.map(({ name, isRequired, isMany }) => {
    const word = isMany ? `${name} ...` : name;
    return isRequired ? word : `[${word}]`;
  });
  return ["[option ...]", ...words].join(" ");
}

/** What a word of a command is, with those that it can be. */
export function operandMeaning({ describe, choices }: Operand): string {
  return sentence(choices === undefined ? describe : `${describe}: ${choices.join(", ")}`);
}

/** An option in words: `-f, --file=`, `FILE`, and what it does. */
export function optionUse(option: Option): { flags: string; value: string; says: string } {
  const { flags, value = "", isValueOptional, describe } = option;
  const typed = [...flags].reverse().join(", ");
  const more = [
    ...(option.isRepeatable ? ["Can be given several times."] : []),
    ...(option.default === undefined ? [] : [`Default: ${option.default}.`]),
  ];
  return {
    flags: value === "" || isValueOptional ? typed : `${typed} `,
    value: isValueOptional && value !== "" ? ` [${value}]` : value,
    says: [sentence(describe), ...more].join(" "),
  };
}

/** With a capital and a full stop, as prose has it. */
export function sentence(words: string): string {
  const first = words.charAt(0);
  const isWord = /^[a-z]+(?:[ :;]|$)/.test(words);
  return `${isWord ? first.toUpperCase() : first}${words.slice(1)}${/[.…]$/.test(words) || words === "" ? "" : "."}`;
}

/** The exit statuses and what they say; of one command without those of options that it does not have. */
export function exitStatusesOf(
  { exitStatuses }: Program,
  command?: Command,
): [status: string, says: string][] {
  return Object.entries(exitStatuses).filter(([, says]) => {
    const [, flag] = /\((--[\w-]+)\)$/.exec(says) ?? [];
    return (
      flag === undefined || command === undefined || command.options.some(({ flags }) => flags.includes(flag))
    );
  });
}
