import type { Check, Verified } from "../verify/verify.ts";
import { printable } from "./printable.ts";
import { textTable } from "./table.ts";

/** A line for each check of each file. */
export function verifiedText(verified: Verified[]): string {
  const rows = verified.flatMap(({ file, checks }) =>
    checks.map(({ check, result, detail }) => [file, check, result, detail].map((text) => printable(text))),
  );
  return textTable(["FILE", "CHECK", "RESULT", "WHAT"], rows);
}

/** The same for programs. */
export function verifiedJson(verified: Verified[]): { verified: boolean; files: Verified[] } {
  return { verified: worst(verified) === "passed", files: verified };
}

/** The worst result of all: what failed is worse than what could not be checked. */
export function worst(verified: Verified[]): Check["result"] {
  const results = new Set(verified.flatMap(({ checks }) => checks.map(({ result }) => result)));
  if (results.has("failed")) return "failed";
  return results.has("skipped") ? "skipped" : "passed";
}
