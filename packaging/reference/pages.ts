import { table as agentTable } from "../../agent/commands/table.ts";
import { table as controllerTable } from "../../controller/commands/table.ts";
import { readProgram } from "../../shared/command-table.ts";
import { commandsPage } from "./commands.ts";
import { errorsPage } from "./errors.ts";
import { yamlPage } from "./yaml.ts";

/** The pages that are made from the programs, by their file's name. */
export const referencePages = (): Record<string, string> => ({
  "commands.md": commandsPage([readProgram(controllerTable), readProgram(agentTable)]),
  "errors.md": errorsPage(),
  "yaml.md": yamlPage(),
});
