import type { Table } from "../../shared/command-table.ts";
import type { exitCodes } from "../../shared/errors.ts";
import type { Command } from "./command.ts";
import { complete } from "./complete.ts";
import { completionOf } from "./completion.ts";
import { fleetCommands } from "./fleet.ts";
import { init } from "./init.ts";
import { inventoryCommands } from "./inventory.ts";
import { schema } from "./schema.ts";
import { verify } from "./verify.ts";

type Group = { name: string; describe: string; commands: Command[] };

/** What the command line, the manual, completion and the reference know of the program. */
export const table = {
  name: "nexcage",
  about: "Containers on a fleet of Proxmox VE hosts, as YAML says, over SSH.",
  groups: [
    { name: "fleet", describe: "Plan, apply and look after a fleet", commands: fleetCommands },
    { name: "inventory", describe: "Check and show the files", commands: inventoryCommands },
  ] satisfies Group[],
  commands: [init, schema, verify, completionOf((): Table => table), complete] satisfies Command[],
  commonOptions: { help: { alias: "h", type: "boolean", describe: "show help" } },
  bareOptions: { version: { type: "boolean", describe: "print the version" } },
  exitStatuses: {
    0: "done",
    1: "failed",
    2: "there are changes (--detailed-exitcode)",
    3: "partial",
    4: "unreachable",
    5: "lock held",
    9: "refused",
    10: "needs --yes",
    64: "usage or invalid files",
    130: "interrupted",
  } satisfies Record<0 | 2 | (typeof exitCodes)[keyof typeof exitCodes], string>,
  names: { from: "files" },
} as const satisfies Table;
