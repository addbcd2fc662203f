import type { Table } from "../../shared/command-table.ts";
import { shells } from "../../shared/completion/shells.ts";
import { command } from "./command.ts";

/** @param table the one that this command is in */
export const completionOf = (table: () => Table) =>
  command({
    command: "completion <shell>",
    describe: "Print the completion script of a shell, to be sourced in it",
    builder: (yargs) =>
      yargs.positional("shell", { choices: shells, demandOption: true, describe: "which shell" }),
    async handler({ shell }) {
      const { completionScript } = await import("../../shared/completion/completion.ts");
      process.stdout.write(completionScript(shell, table()));
    },
  });
