import { stat } from "node:fs/promises";
import { hasCode } from "../../shared/errors.ts";
import { invalidFiles, type Mistake } from "./mistakes.ts";
import type { Fleet } from "./model.ts";

/**
 * Looks whether each `rootfs:` is there, which only sending it would tell.
 * @throws {NexcageError} `INVALID_FILE` with the place of each that is not
 */
export async function requireRootfs({ wanted }: Fleet): Promise<void> {
  const sources = new Map(
    wanted.flatMap(({ spec: { source } }) => (source.kind === "rootfs" ? [[source.path, source]] : [])),
  );
  const mistakes: Mistake[] = [];
  for (const source of sources.values()) {
    try {
      await stat(source.path);
    } catch (error) {
      if (!hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP")) throw error;
      const problem = hasCode(error, "EACCES") ? "cannot be read: permission denied" : "does not exist";
      mistakes.push({ place: source.place, message: `rootfs ${source.path} ${problem}` });
    }
  }
  if (mistakes.length > 0) throw invalidFiles(mistakes);
}
