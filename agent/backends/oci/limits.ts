import { NexcageError } from "../../../shared/errors.ts";
import type { Resources } from "../../../shared/spec.ts";

const cpuPeriodUs = 100_000; // the kernel's default
const leastCpuQuotaUs = 1_000; // what the kernel accepts at least
/** Of the runtime specification, and of the kernel: no limit. */
const unlimited = -1;

/**
 * `linux.resources` of a new container: the limits that are said, so that one without any needs no
 * controllers. `swap` counts memory and swap together, so the two being equal is no swap. Pure.
 * @throws {NexcageError} `SPEC_REFUSED`
 */
export function resourcesOf({ cpus, memoryBytes, pids }: Resources): Record<string, unknown> {
  return {
    ...(cpus !== undefined && { cpu: { quota: quotaOf(cpus), period: cpuPeriodUs } }),
    ...(memoryBytes !== undefined && { memory: { limit: memoryBytes, swap: memoryBytes } }),
    ...(pids !== undefined && { pids: { limit: pids } }),
  };
}

/** `linux.resources` that bring a container to these limits; what is not said is taken off. Pure. */
export function resourcesUpdate(resources: Resources): Record<string, unknown> {
  return {
    cpu: { quota: unlimited, period: cpuPeriodUs },
    memory: { limit: unlimited, swap: unlimited },
    pids: { limit: unlimited },
    ...resourcesOf(resources),
  };
}

function quotaOf(cpus: number): number {
  const quotaUs = Math.round(cpus * cpuPeriodUs);
  if (quotaUs >= leastCpuQuotaUs) return quotaUs;
  throw new NexcageError("SPEC_REFUSED", `resources: cpus is ${cpus}, less than the kernel can give`, {
    hint: `${leastCpuQuotaUs / cpuPeriodUs} is the least`,
  });
}
