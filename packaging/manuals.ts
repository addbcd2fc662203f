import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { table as agentTable } from "../agent/commands/table.ts";
import { table as controllerTable } from "../controller/commands/table.ts";
import { type Command, type Option, optionsOf, type Program, readProgram } from "../shared/command-table.ts";
import { completionScript } from "../shared/completion/completion.ts";
import { type Shell, shells } from "../shared/completion/shells.ts";
import { version } from "../shared/version.ts";
import { heading, item, type ManSection, manPage, paragraph, synopsis } from "./man-page.ts";
import { manualFacts } from "./manual-facts.ts";
import { sourceEpoch } from "./source-epoch.ts";
import { exitStatusesOf, operandMeaning, optionUse, sentence, usage } from "./wording.ts";

/** Where a shell looks for what completes a program. */
const completionFiles = {
  bash: (name: string) => `bash-completion/completions/${name}`,
  zsh: (name: string) => `zsh/site-functions/_${name}`,
  fish: (name: string) => `fish/vendor_completions.d/${name}.fish`,
} satisfies Record<Shell, (name: string) => string>;

/** Writes the manual pages and completion scripts of both programs into a `share` folder. */
export function writeManuals(share: string): void {
  const date = new Date((sourceEpoch() ?? Date.now() / 1_000) * 1_000).toISOString().slice(0, 10);
  for (const [name, page] of [
    ...controllerPages(readProgram(controllerTable), date),
    ...agentPages(readProgram(agentTable), date),
  ])
    write(join(share, `man/man1/${name}.1`), page);
  for (const table of [controllerTable, agentTable])
    for (const shell of shells)
      write(join(share, completionFiles[shell](table.name)), completionScript(shell, table));
}

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** A page for the program, for each group and for each command, as git has them. */
function controllerPages(program: Program, date: string): [name: string, page: string][] {
  const { name, groups, commands } = program;
  const pageOf = (words: string[], summary: string, sections: ManSection[]): [string, string] => {
    const page = [name, ...words].join("-");
    return [page, manPage({ name: page, summary, date, source: `nexcage ${version}`, sections })];
  };
  const below = (group: string): Command[] =>
    commands.filter(({ path }) => path[0] === group && path.length > 1);
  const alone = commands.filter(({ path }) => path.length === 1);
  const all = commands.map(({ path }) => [name, ...path].join("-"));
  return [
    pageOf([], decapitalize(program.about), [
      { title: "SYNOPSIS", lines: [synopsis(name, "command [option ...]")] },
      {
        title: "DESCRIPTION",
        lines: [
          ...paragraph(sentence(program.about)),
          ...groups.flatMap((group) => [
            ...heading(`${name} ${group.name}: ${decapitalize(group.describe)}`),
            ...commandList(program, below(group.name)),
          ]),
          ...heading("Other commands"),
          ...commandList(program, alone),
        ],
      },
      { title: "OPTIONS", lines: optionItems([...program.commonOptions, ...program.bareOptions]) },
      ...commonSections(program),
      seeAlso([...all, "nexcage-agent"]),
    ]),
    ...groups.map((group) =>
      pageOf([group.name], decapitalize(group.describe), [
        { title: "SYNOPSIS", lines: [synopsis(`${name} ${group.name}`, "command [option ...]")] },
        {
          title: "DESCRIPTION",
          lines: [...paragraph(sentence(group.describe)), ...commandList(program, below(group.name))],
        },
        exitStatus(program),
        seeAlso([name, ...below(group.name).map(({ path }) => [name, ...path].join("-"))]),
      ]),
    ),
    ...commands.map((command) =>
      pageOf(command.path, decapitalize(command.describe), [
        { title: "SYNOPSIS", lines: [synopsis([name, ...command.path].join(" "), usage(command))] },
        { title: "DESCRIPTION", lines: description(command) },
        { title: "OPTIONS", lines: optionItems(optionsOf(command, program)) },
        exitStatus(program, command),
        seeAlso([name, ...(command.path.length > 1 ? [`${name}-${command.path[0]}`] : [])]),
      ]),
    ),
  ];
}

/** One page with all commands: each is short, and whoever is on a host wants them side by side. */
function agentPages(program: Program, date: string): [name: string, page: string][] {
  const { name, about, commands } = program;
  const sections: ManSection[] = [
    { title: "SYNOPSIS", lines: [synopsis(name, "command [option ...]")] },
    { title: "DESCRIPTION", lines: paragraph(sentence(about)) },
    {
      title: "COMMANDS",
      lines: commands.flatMap((command) => [
        ...heading(`${[...command.path, usage(command)].join(" ")}`),
        ...description(command),
        ...optionItems(command.options),
      ]),
    },
    { title: "OPTIONS", lines: optionItems([...program.commonOptions, ...program.bareOptions]) },
    ...commonSections(program),
    seeAlso(["nexcage"]),
  ];
  return [
    [name, manPage({ name, summary: decapitalize(about), date, source: `nexcage ${version}`, sections })],
  ];
}

const commandList = ({ name }: Program, commands: Command[]): string[] =>
  commands.flatMap((command) =>
    item({
      term: `${[name, ...command.path].join(" ")} `,
      value: usage(command),
      says: sentence(command.describe),
    }),
  );

const description = ({ describe, operands, epilogue }: Command): string[] => [
  ...paragraph(sentence(describe)),
  ...operands.flatMap((operand) => item({ term: "", value: operand.name, says: operandMeaning(operand) })),
  ...(epilogue === undefined ? [] : paragraph(epilogue)),
];

const optionItems = (options: Option[]): string[] =>
  options.flatMap((option) => {
    const { flags, value, says } = optionUse(option);
    return item({ term: flags, value, says });
  });

function commonSections(program: Program): ManSection[] {
  const facts = manualFacts[program.name];
  return [
    exitStatus(program),
    {
      title: "FILES",
      lines: (facts?.files ?? []).flatMap(([term, says]) => item({ term, says: sentence(says) })),
    },
    {
      title: "ENVIRONMENT",
      lines: (facts?.environment ?? []).flatMap(([term, says]) => item({ term, says: sentence(says) })),
    },
  ];
}

/** Without those of options that the command does not have. */
const exitStatus = (program: Program, command?: Command): ManSection => ({
  title: "EXIT STATUS",
  lines: exitStatusesOf(program, command).flatMap(([term, says]) => item({ term, says: sentence(says) })),
});

const seeAlso = (pages: string[]): ManSection => ({
  title: "SEE ALSO",
  lines: pages.map(
    (page, index) => `.BR ${page.replaceAll("-", "\\-")} (1)${index === pages.length - 1 ? "" : ","}`,
  ),
});

/** As the line under NAME has it. */
const decapitalize = (words: string): string =>
  words.charAt(0).toLowerCase() + words.slice(1).replace(/\.$/, "");
