import { table } from "../agent/commands/table.ts";
import { type Option, readProgram } from "../shared/command-table.ts";

/** What `native/oci/` answers: what an OCI runtime is asked, and the first words of a session. */
const nativeCommands: readonly string[] = [
  "create",
  "run",
  "start",
  "state",
  "kill",
  "delete",
  "exec",
  "ps",
  "pause",
  "resume",
  "update",
  "spec",
  "events",
  "serve",
];

/** `native/oci/command-table.h`: the options of those commands, as the agent's one table has them. */
export function ociTable(): string {
  const program = readProgram(table);
  const commands = program.commands.filter(({ path }) => nativeCommands.includes(path.join(" ")));
  return [
    "/* Made by `npm run reference` from agent/commands/table.ts. */",
    "#ifndef COMMAND_TABLE_H",
    "#define COMMAND_TABLE_H",
    "",
    '#include "line.h"',
    "",
    optionList("global_options", [...program.commonOptions, ...program.bareOptions]),
    ...commands.map(({ path, options }) => optionList(`${path.join("_")}_options`, options)),
    "static const struct command commands[] = {",
    ...commands.map(({ path }) => `    {"${path.join(" ")}", ${path.join("_")}_options},`),
    "    {NULL, NULL},",
    "};",
    "",
    "#endif",
    "",
  ].join("\n");
}

function optionList(name: string, options: Option[]): string {
  return [
    `static const struct option ${name}[] = {`,
    ...options.flatMap(entriesOf),
    "    {NULL, NULL, false},",
    "};",
    "",
  ].join("\n");
}

/** One for each of its long names; the first one has its letters. */
function entriesOf({ flags, value }: Option): string[] {
  const names = flags.filter((flag) => flag.startsWith("--")).map((flag) => flag.slice(2));
  const letters = flags.filter((flag) => !flag.startsWith("--")).map((flag) => flag.slice(1));
  return names.map(
    (name, index) => `    {"${name}", "${index === 0 ? letters.join("") : ""}", ${value !== undefined}},`,
  );
}
