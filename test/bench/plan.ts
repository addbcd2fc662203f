import { join } from "node:path";
import { execa } from "execa";
import { type Benchmark, below, median } from "./measure.ts";

const repetitions = 5;
const limitMs = 2_000;
const limitMegabytes = 500;

/** Each time in a process of its own, whose peak of memory is this plan's alone. */
export const plan: Benchmark = {
  name: "plan",
  async run() {
    const runs: { ms: number; peakMegabytes: number }[] = [];
    for (let repetition = 0; repetition < repetitions; repetition++) {
      const { stdout } = await execa(process.execPath, [join(import.meta.dirname, "plan-once.ts")]);
      runs.push(JSON.parse(stdout));
    }
    const what = "plan, YAML to changes: 1,000 hosts, 20,000 containers";
    return [
      below({ name: `${what}: time`, ours: median(runs.map(({ ms }) => ms)), unit: "ms", limit: limitMs }),
      below({
        name: `${what}: peak memory of the process`,
        ours: median(runs.map(({ peakMegabytes }) => peakMegabytes)),
        unit: "MB",
        limit: limitMegabytes,
      }),
    ];
  },
};
