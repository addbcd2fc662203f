/** One line of the table: what was measured of ours and of the other, and whether that is enough. */
export type Row = {
  name: string;
  ours: number;
  peer: number;
  unit: string;
  /** As `goal` counts it: so many times faster than the peer, so many times as long, or of a limit so much. */
  ratio: number;
  goal: string;
  ok: boolean;
};

/** What can be measured by itself. Hosts and files that it needs are its own, and gone when it ends. */
export type Benchmark = {
  /** For `--only`. */
  name: string;
  /** Why it cannot be measured here, or undefined. */
  obstacle?: (() => string | undefined) | undefined;
  run(): Promise<Row[]>;
};

type Measured = Pick<Row, "name" | "ours" | "peer" | "unit">;

/** Ours must be at least so many times as fast as the peer. */
export function fasterThan(measured: Measured, times: number): Row {
  const ratio = measured.peer / measured.ours;
  return { ...measured, ratio, goal: `faster ≥ ${times}`, ok: ratio >= times };
}

/** Ours may take at most so many times as much as the peer. */
export function within(measured: Measured, times: number): Row {
  const ratio = measured.ours / measured.peer;
  return { ...measured, ratio, goal: `longer ≤ ${times}`, ok: ratio <= times };
}

/** Ours must stay below a limit, which stands in place of the peer. */
export function below({ limit, ...measured }: Omit<Measured, "peer"> & { limit: number }): Row {
  const ratio = measured.ours / limit;
  return { ...measured, peer: limit, ratio, goal: `of limit < 1`, ok: ratio < 1 };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new Error("nothing was measured");
  return (lower + upper) / 2;
}

/** How long one piece of work takes, in ms. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

/** Work whose time counts, and what puts back, uncounted, how it was before. */
export type Subject = { run(): Promise<unknown>; undo?(): Promise<unknown> };

/**
 * The medians, in ms, of subjects that run in turn: what slows the machine down for a while slows all of
 * them. Each runs once before it counts, and who is first changes from round to round.
 */
export async function interleave<Subjects extends Record<string, Subject>>(
  subjects: Subjects,
  { rounds }: { rounds: number },
): Promise<{ [Name in keyof Subjects]: number }> {
  const all = Object.entries(subjects).map(([name, subject]) => ({ name, subject, times: [] as number[] }));
  for (let round = -1; round < rounds; round++)
    for (const { subject, times } of rotated(all, round + 1)) {
      const ms = await timed(() => subject.run());
      if (round >= 0) times.push(ms);
      await subject.undo?.();
    }
  // fromEntries loses the names
  return Object.fromEntries(all.map(({ name, times }) => [name, median(times)])) as {
    [Name in keyof Subjects]: number;
  };
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
