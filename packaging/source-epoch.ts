import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * The date of what is built, in seconds since 1970: `SOURCE_DATE_EPOCH` (reproducible-builds.org), else the time of
 * the last commit; undefined where there is neither.
 */
export function sourceEpoch(): number | undefined {
  const time = process.env.SOURCE_DATE_EPOCH ?? lastCommit();
  if (time === undefined) return undefined;
  if (!/^\d+$/.test(time))
    throw new Error(`SOURCE_DATE_EPOCH is ${JSON.stringify(time)}, and not a number of seconds`);
  return Number(time);
}

/** The same, or an error that says what to set. */
export function requireSourceEpoch(): number {
  const epoch = sourceEpoch();
  if (epoch !== undefined) return epoch;
  throw new Error("no git here to tell the date of the sources: set SOURCE_DATE_EPOCH");
}

function lastCommit(): string | undefined {
  const root = join(import.meta.dirname, "..");
  const { status, stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
