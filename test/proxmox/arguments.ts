// The grammar of command lines: options before or after the positional words, in the ways of Getopt::Long.
import { Failure, ParameterFailure } from "./failure.ts";
import { check, type Schema } from "./schema.ts";

export type Grammar = {
  /** What follows the verb, in order; a trailing `?` marks one that may be left out. */
  positionals: Readonly<Record<string, Schema>>;
  optional?: readonly string[];
  option(name: string): Schema | undefined;
  /** Whether words may follow: the command of `exec`. */
  takesCommand?: boolean;
  /** The words under an error: `pct start <vmid> [OPTIONS]`. */
  usage: string;
};

export type Parsed = {
  positionals: Readonly<Record<string, string>>;
  options: ReadonlyMap<string, string>;
  command: readonly string[];
};

/**
 * Reads the words after the verb. What is wrong with values is said for all of them at once.
 * @throws {Failure} with the recorded texts: `Unknown option`, `400 not enough arguments`, a line per field
 */
export function parseArguments(grammar: Grammar, words: readonly string[]): Parsed {
  const { given, rest, unknown } = splitWords(grammar, words);
  if (unknown.length > 0) {
    const lines = unknown.map((name) => `Unknown option: ${name}`);
    throw usageFailure(grammar, [...lines, "400 unable to parse option"].join("\n"));
  }
  const names = Object.keys(grammar.positionals);
  const required = names.filter((name) => !grammar.optional?.includes(name));
  if (rest.length < required.length) throw usageFailure(grammar, "400 not enough arguments");
  if (rest.length > names.length && !grammar.takesCommand)
    throw usageFailure(grammar, "400 too many arguments");

  const wrong: Record<string, string> = {};
  const positionals: Record<string, string> = {};
  const options = new Map<string, string>();
  const take = (name: string, schema: Schema | undefined, value: string, keep: (value: string) => void) => {
    const checked = check(schema ?? { type: "string" }, value, name);
    if ("reason" in checked) wrong[name] = checked.reason;
    else keep(checked.value);
  };
  names.forEach((name, index) => {
    const value = rest[index];
    if (value !== undefined)
      take(name, grammar.positionals[name], value, (checked) => {
        positionals[name] = checked;
      });
  });
  for (const [name, value] of given)
    take(name, grammar.option(name), value, (checked) => options.set(name, checked));
  if (Object.keys(wrong).length > 0) throw withUsage(grammar, new ParameterFailure(wrong));
  return { positionals, options, command: rest.slice(names.length) };
}

function splitWords(grammar: Grammar, words: readonly string[]) {
  const given: [string, string][] = [];
  const unknown: string[] = [];
  const rest: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word === "--") {
      rest.push(...words.slice(index + 1));
      break;
    }
    const [, name, value] = /^--?([a-zA-Z][\w-]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) {
      rest.push(word);
      continue;
    }
    const schema = grammar.option(name);
    if (schema === undefined) unknown.push(name);
    else if (value !== undefined) given.push([name, value]);
    else if (schema.type === "boolean" && (words[index + 1] ?? "-").startsWith("-")) given.push([name, "1"]);
    else given.push([name, words[++index] ?? ""]);
  }
  return { given, rest, unknown };
}

function usageFailure({ usage }: Grammar, text: string): Failure {
  return new Failure(`${text}\n${usage}`, { exitCode: 2 });
}

/** pct prints its usage under what is wrong with the parameters. */
export function withUsage({ usage }: { usage: string }, failure: ParameterFailure): Failure {
  return new Failure(`${failure.message}\n${usage}`, { exitCode: failure.exitCode });
}
