import type { Inspector } from "../inspect.ts";
import type { RuntimeDependencies } from "../runtime.ts";
import type { Counters } from "../state/counters.ts";
import type { Journal } from "../state/journal.ts";
import type { Records } from "../state/records.ts";

/** What the operations work with. */
export type Parts = RuntimeDependencies & {
  journal: Journal;
  records: Records;
  inspector: Inspector;
  counters: Counters;
};
