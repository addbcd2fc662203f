import type { Resources } from "../../../shared/spec.ts";

const cpuPeriodUs = 100_000;
/** Of the runtime specification, and of the kernel: no limit. */
const unlimited = -1;

/** `linux.resources` that bring a container to these limits; what is not said is taken off. */
export function resourcesUpdate({ cpus, memoryBytes, pids }: Resources): Record<string, unknown> {
  return {
    cpu: { period: cpuPeriodUs, quota: cpus === undefined ? unlimited : Math.round(cpus * cpuPeriodUs) },
    memory: { limit: memoryBytes ?? unlimited, swap: memoryBytes ?? unlimited },
    pids: { limit: pids ?? unlimited },
  };
}
