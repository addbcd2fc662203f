import { hasCode, NexcageError } from "../../shared/errors.ts";

/** The error for a folder whose filesystem has no space for an image. */
export function diskFull(message: string, folder: string, cause?: unknown): NexcageError {
  return new NexcageError("DISK_FULL", `${message} in ${folder}`, {
    hint: `make space there (df -h ${folder}), then run it again`,
    details: { folder },
    cause,
  });
}

/** ENOSPC and EDQUOT as that error, anything else as it is. */
export function orDiskFull(error: unknown, folder: string): unknown {
  return hasCode(error, "ENOSPC", "EDQUOT") ? diskFull("no space left for the image", folder, error) : error;
}
