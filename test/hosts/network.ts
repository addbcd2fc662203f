// What a run's number gives it: a subnet, and the names of its bridge and ports. All of it can be
// found again from the number alone, so a run can be cleaned up by someone who never saw it.

/** Runs are numbered 0 … 8191: one /22 of 10.128.0.0/9 each. */
export const runCount = 8192;
export const prefixLength = 22;
/** Addresses of a /22 without its network, gateway and broadcast. */
export const maximumHosts = 1021;

/** The `index`th address of the run's subnet: 1 is the machine's own end, the hosts start at 2. */
export function addressIn(run: number, index: number): string {
  const value = (10 << 24) | (1 << 23) | (run << (32 - prefixLength)) | index;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
}

/** Whether an address lies in the run's subnet. */
export function isInSubnet(run: number, address: string): boolean {
  const [a = 0, b = 0, c = 0] = address.split(".").map(Number);
  return addressIn(run, 0) === [a, b, c & 0xfc, 0].join(".");
}

/** The name of its bridge, its cgroups and its folder: no other program's clean-up may take them for its own. */
export function runName(run: number): string {
  return `nxh${run}`;
}

/** The machine's end of a host's cable. */
export function portName(run: number, index: number): string {
  return `nxh${run}-${index}`;
}
