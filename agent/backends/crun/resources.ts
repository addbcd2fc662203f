import { NexcageError } from "../../../shared/errors.ts";
import type { Resources } from "../../../shared/spec.ts";

/** `linux.resources` of the runtime specification, as far as we say something there. */
export type LinuxResources = {
  cpu?: { quota: number; period: number };
  memory?: { limit: number; swap: number };
  pids?: { limit: number };
  devices?: { allow: boolean; access: string }[];
};

const periodUs = 100_000; // the kernel's default
const leastQuotaUs = 1_000; // what it accepts at least

/**
 * The limits that a spec has, for a new container. `swap` counts memory and swap together, so the two
 * being equal is no swap. Pure.
 * @throws {NexcageError} `SPEC_REFUSED`
 */
export function resourceLimits({ cpus, memoryBytes, pids }: Resources = {}): LinuxResources {
  return {
    ...(cpus !== undefined && { cpu: { quota: quotaOf(cpus), period: periodUs } }),
    ...(memoryBytes !== undefined && { memory: { limit: memoryBytes, swap: memoryBytes } }),
    ...(pids !== undefined && { pids: { limit: pids } }),
  };
}

/** What brings a running container from one set of limits to another; what is not limited any more is -1. Pure. */
export function resourceChange(before: Resources = {}, after: Resources = {}): LinuxResources {
  return {
    ...(before.cpus !== undefined && { cpu: { quota: -1, period: periodUs } }),
    ...(before.memoryBytes !== undefined && { memory: { limit: -1, swap: -1 } }),
    ...(before.pids !== undefined && { pids: { limit: -1 } }),
    ...resourceLimits(after),
  };
}

function quotaOf(cpus: number): number {
  const quota = Math.round(cpus * periodUs);
  if (quota >= leastQuotaUs) return quota;
  throw new NexcageError("SPEC_REFUSED", `resources: cpus is ${cpus}, less than ${leastQuotaUs / periodUs}`, {
    hint: `${leastQuotaUs / periodUs} is the least that the kernel can give`,
  });
}
