import { readFile } from "node:fs/promises";
import * as z from "zod";
import { hasCode } from "../../../shared/errors.ts";

/**
 * How a container's init ended, as its monitor wrote it (native/monitor.c). `lost`: the monitor that knew
 * was killed. `startTime` is field 22 of /proc/PID/stat, so that an older container's record is told apart.
 */
export const ExitRecord = z.object({
  exitCode: z.int().optional(),
  signal: z.int().optional(),
  lost: z.literal(true).optional(),
  oomKilled: z.boolean(),
  finishedAt: z.iso.datetime(),
  pid: z.int(),
  startTime: z.int(),
});
export type ExitRecord = z.infer<typeof ExitRecord>;

/** Undefined while the init runs, and for ever when its monitor was killed and none came after it. */
export async function readExitRecord(path: string): Promise<ExitRecord | undefined> {
  try {
    return ExitRecord.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
