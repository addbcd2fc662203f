import * as z from "zod";
import type { Paths } from "../paths.ts";
import { type Counted, durationBounds } from "./counted.ts";
import { readJson, writeWhole } from "./files.ts";

const Count = z.int().nonnegative();

const CounterFile = z.record(
  z.string(),
  z.object({
    done: Count,
    failed: Count,
    interrupted: Count,
    seconds: z.number().nonnegative(),
    buckets: z.array(Count).length(durationBounds.length),
  }),
);

/** The host's counters; none where there is no file, or one that cannot be read: they begin anew. */
export function readCounters(paths: Paths): Counted {
  try {
    return readJson(paths.counters, CounterFile, "") ?? {};
  } catch {
    return {};
  }
}

/** Whoever writes them holds `paths.countersLock`. A power cut may lose the last ones, and never half of them. */
export async function writeCounters(paths: Paths, counted: Counted): Promise<void> {
  await writeWhole(paths.counters, `${JSON.stringify(counted)}\n`, { mode: 0o600, durable: false });
}
