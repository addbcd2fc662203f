import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Which build this agent is, as in `0.1.0-5f3a9c01d2e4`; undefined where it runs from its sources. */
export function thisBuild(): string | undefined {
  try {
    return readFileSync(join(import.meta.dirname, "BUILD"), "utf8").trim();
  } catch {
    return undefined;
  }
}
