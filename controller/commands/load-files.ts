import { homedir } from "node:os";
import { loadInventory } from "../inventory/load.ts";
import type { Explained } from "../inventory/resolve.ts";
import { interrupted } from "./interrupt.ts";

/**
 * The files of a command line, read and resolved.
 * @throws {NexcageError} `INVALID_FILE`
 */
export async function loadFiles({ file }: { file?: string[] | undefined }): Promise<Explained> {
  return await loadInventory({
    files: file ?? [],
    cwd: process.cwd(),
    home: homedir(),
    environment: process.env,
    signal: interrupted(),
  });
}
