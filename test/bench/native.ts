import { execFileSync } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { makeRootfs } from "../e2e/rootfs.ts";
import { startHosts, whyNoHosts } from "../hosts/hosts.ts";
import { type Benchmark, fasterThan, type Row } from "./measure.ts";

const times = { create: 1, start: 1, state: 10, kill: 1, delete: 1 };
type Call = keyof typeof times;

/** What `native-once.ts` prints: medians in ms. */
export type NativeTimes = {
  crunVersion: string;
  config: string;
  medians: Record<Call, Record<"ours" | "peer", number>>;
}[];

/** libcrun in the sealed process, as the agent has it, against the program; both called by that process. */
export const native: Benchmark = {
  name: "native",
  obstacle: whyNoHosts,
  async run() {
    const libraries = execFileSync(join(import.meta.dirname, "../../native/build"), {
      encoding: "utf8",
    }).trim();
    await using hosts = await startHosts({ count: 1 });
    const [host] = hosts.hosts;
    if (host === undefined) throw new Error("no host was started");
    const folder = join(host.dir, "bench");
    await mkdir(folder);
    await makeRootfs(join(folder, "rootfs"));
    // The hosts' /proc hides nothing, but node_modules may be on a file system that they do not have.
    await cp(process.execPath, join(folder, "node"));
    const program = [join(libraries, "nexcage-launch"), join(folder, "node")];
    const { exitCode, stdout, stderr } = await host.exec(
      [...program, join(import.meta.dirname, "native-once.ts"), libraries, folder],
      { timeoutMs: 300_000 },
    );
    if (exitCode !== 0) throw new Error(`native-once.ts ended with ${exitCode}: ${stderr}`);
    const measured: NativeTimes = JSON.parse(stdout);
    return measured.flatMap(rowsOf);
  },
};

function rowsOf({ crunVersion, config, medians }: NativeTimes[number]): Row[] {
  const calls = Object.keys(times) as Call[]; // Object.keys loses the names
  return calls.map((call) => {
    const name = `${call} by FFI, against crun ${crunVersion} as a program (${config})`;
    return fasterThan({ name, ...medians[call], unit: "ms" }, times[call]);
  });
}
