// What a command of pct is made of.
import type { Grammar, Parsed } from "./arguments.ts";
import * as formats from "./formats.ts";
import type { Schema } from "./schema.ts";

export type Call = Parsed & { vmid: string };

export type Verb = {
  grammar: Grammar;
  /** In pct itself, without a task: reading verbs, `set`, `exec`, `unlock`. An exit code, or 0. */
  run?(call: Call): Promise<number | undefined>;
  /** In pct itself, before the task: what is refused here makes none. */
  before?(call: Call): Promise<void>;
  task?: {
    type: string;
    /** In the worker. The signal is TERM's. */
    run(call: Call, options: { signal: AbortSignal }): Promise<void>;
  };
};

type GrammarParts = {
  positionals?: Readonly<Record<string, Schema>>;
  optional?: readonly string[];
  options?: Readonly<Record<string, Schema>>;
  moreOptions?(name: string): Schema | undefined;
  takesCommand?: boolean;
};

export const boolean: Schema = { type: "boolean" };
export const text: Schema = { type: "string" };
export const seconds: Schema = { type: "integer", minimum: 0 };

/** `pct NAME <vmid> …`, with its usage. */
export function guestGrammar(name: string, parts: GrammarParts = {}): Grammar {
  const { positionals = {}, optional = [], options = {}, moreOptions, takesCommand = false } = parts;
  const words = ["vmid", ...Object.keys(positionals)].map((word) =>
    optional.includes(word) ? `[<${word}>]` : `<${word}>`,
  );
  const hasOptions = Object.keys(options).length > 0 || moreOptions !== undefined;
  return {
    positionals: { vmid: formats.vmid, ...positionals },
    optional,
    option: (option) => options[option] ?? moreOptions?.(option),
    takesCommand,
    usage: `pct ${name} ${words.join(" ")}${takesCommand ? " [<extra-args>]" : ""}${hasOptions ? " [OPTIONS]" : ""}`,
  };
}
