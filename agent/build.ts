import { join } from "node:path";
import { readText } from "./state/files.ts";

/** Which build this agent is, as in `0.1.0-5f3a9c01d2e4`; undefined where it runs from its sources. */
export function thisBuild(): string | undefined {
  return readText(join(import.meta.dirname, "BUILD"))?.trim();
}
