import { readProgram, type Table } from "../command-table.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import type { Shell } from "./shells.ts";
import { zshScript } from "./zsh.ts";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } satisfies Record<Shell, unknown>;

/** A program's completion: its words are in the script, and only names of hosts and containers are asked for. */
export function completionScript(shell: Shell, table: Table): string {
  return scripts[shell](readProgram(table));
}
