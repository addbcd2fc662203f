import { createHash } from "node:crypto";
import type { Digest } from "./ids.ts";

/** JSON with its keys sorted and what is undefined left out: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    item !== null && typeof item === "object" && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

/** The sha256 of a value's canonical JSON. */
export function digestOf(value: unknown): Digest {
  const hash = createHash("sha256").update(canonicalJson(value)).digest("hex");
  return `sha256:${hash}` as Digest; // by construction
}
