import type { Command, Option, Program } from "../../shared/command-table.ts";
import { exitStatusesOf, operandMeaning, optionUse, sentence, usage } from "../wording.ts";
import { code, plain, tableOf } from "./markdown.ts";

/** The page of all commands and options. */
export function commandsPage(programs: Program[]): string {
  return `# Commands

All commands of both programs, with their options. The manual pages say the same: \`man nexcage-fleet-apply\`.
${programs.map(programPart).join("")}`;
}

function programPart(program: Program): string {
  const { name, about, commands, commonOptions, bareOptions } = program;
  const common = optionsTable(commonOptions);
  return `
## ${name}

${sentence(about)} Without a command it takes ${bareOptions.map(({ flags }) => code(flags[0] ?? "")).join(" and ")}.

Every command takes:

${common}

It ends with one of these:

${tableOf(["exit", "meaning"], exitStatusesOf(program))}
${commands.map((command) => commandPart(name, command)).join("")}`;
}

function commandPart(program: string, command: Command): string {
  const { path, describe, operands, options, epilogue } = command;
  const words = operands.map((operand) => [code(operand.name), plain(operandMeaning(operand))]);
  const parts = [
    `### ${[program, ...path].join(" ")}`,
    code([program, ...path, usage(command)].join(" ")),
    [sentence(describe), ...(epilogue === undefined ? [] : [epilogue])].join(" "),
    ...(words.length > 0 ? [tableOf(["word", "meaning"], words)] : []),
    ...(options.length > 0 ? [optionsTable(options)] : []),
  ];
  return `\n${parts.join("\n\n")}\n`;
}

function optionsTable(options: Option[]): string {
  const rows = options.map((option) => {
    const { flags, value, says } = optionUse(option);
    return [code(`${flags}${value}`.trim()), plain(says)];
  });
  return tableOf(["option", "meaning"], rows);
}
