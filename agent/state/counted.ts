/** Upper bounds of the durations that are counted together, in seconds. */
export const durationBounds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

/** Of one kind of operation: how often it ended how, and how long it took. */
export type OperationCounts = {
  done: number;
  failed: number;
  interrupted: number;
  seconds: number;
  /** How many took at most as long as each bound, in their order. */
  buckets: number[];
};

/** Since this host's counters began, by kind of operation. */
export type Counted = Record<string, OperationCounts>;
