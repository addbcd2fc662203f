import { randomUUID } from "node:crypto";
import type { CommandModule } from "yargs";
import type { Change } from "../../shared/container.ts";
import { OperationId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import { type Opened, openAgent } from "./open.ts";
import type { Globals as CommonGlobals } from "./serve-arguments.ts";

export type Globals = CommonGlobals & { output?: string | undefined };

/** A command as data; its handler gets the types of its builder. */
export const command = <A>(module: CommandModule<Globals, A>): CommandModule<Globals, A> => module;

/** One change, asked for by hand: nobody asks again for its result. */
export async function change(
  globals: Globals,
  act: (opened: Opened, options: ChangeOptions) => Promise<Change>,
): Promise<Change> {
  await using opened = await openAgent(globals);
  const operationId = OperationId.parse(`by-hand-${randomUUID()}`);
  try {
    return await act(opened, { operationId, signal: opened.signal });
  } finally {
    opened.runtime.acknowledge([operationId]);
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Rows below a head, in columns as wide as they need. */
export function printTable(head: string[], rows: string[][]): void {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of [head, ...rows])
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}
