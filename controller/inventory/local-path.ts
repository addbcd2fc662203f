import { dirname, join, resolve } from "node:path";

/** A path from the user's files as an absolute one: from the folder of `file`, or below the home folder. Pure. */
export function expandPath(path: string, { file, home }: { file: string; home: string }): string {
  return path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : resolve(dirname(file), path);
}
