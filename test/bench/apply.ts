import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { execa } from "execa";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import type { FloorOptions } from "./floor.ts";
import { type Benchmark, fasterThan, interleave, type Row, within } from "./measure.ts";
import { must } from "./workstation.ts";

const containersPerHost = 10;
const node = join(dist, "lib/nexcage/node");

/** An apply that finds all as it should be: what every run in CI, and every second thought, costs. */
export const apply: Benchmark = {
  name: "apply",
  obstacle: whyNoHosts,
  run: async () => [
    ...(await measureOn(3, { rounds: 9, withShell: true })),
    ...(await measureOn(30, { rounds: 5, withShell: false })),
  ],
};

async function measureOn(
  hostCount: number,
  { rounds, withShell }: { rounds: number; withShell: boolean },
): Promise<Row[]> {
  await using bed = await makeBed(Array.from({ length: hostCount }, (_, index) => `node${index + 1}`));
  const ids = Array.from({ length: containersPerHost }, (_, index) => `app${index + 1}`);
  const container = { mode: "global", command: ["sleep", "100000"] };
  await bed.writeFleet(Object.fromEntries(ids.map((id) => [id, container])));
  await must(bed, "fleet", "apply");
  const floor = await prepareFloor(bed);
  const ours = { run: () => must(bed, "fleet", "apply") };
  const shell = { run: () => askByShell(bed, ids) };
  const medians = await interleave(
    { ours, floor: { run: () => execa(node, floor) }, ...(withShell && { shell }) },
    { rounds },
  );
  const what = `no-op apply, ${hostCount} hosts × ${containersPerHost} containers`;
  const measured = { ours: medians.ours, unit: "ms" };
  const rows = [
    within(
      { name: `${what}, against an ssh2 client and an empty Node`, ...measured, peer: medians.floor },
      1.5,
    ),
  ];
  if (medians.shell === undefined) return rows;
  const name = `${what}, against ssh HOST crun state ID`;
  return [fasterThan({ name, ...measured, peer: medians.shell }, 5), ...rows];
}

async function askByShell({ hosts }: Bed, ids: string[]): Promise<void> {
  const script = `config=$1; shift
for host in ${hosts.hosts.map(({ name }) => name).join(" ")}; do
  for id in "$@"; do ssh -F "$config" "$host" crun --root /run/nexcage/.crun state "$id" || exit; done
done`;
  await execa("sh", ["-c", script, "sh", join(hosts.dir, "ssh_config"), ...ids]);
}

/** The floor as one file, so that it starts as fast as it can; its arguments for Node. */
async function prepareFloor({ folder, hosts }: Bed): Promise<string[]> {
  const program = join(folder, "floor.cjs");
  await build({
    entryPoints: [join(import.meta.dirname, "floor.ts")],
    outfile: program,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
    external: ["cpu-features", "*.node"],
  });
  const empty = join(folder, "empty.js");
  await writeFile(empty, "");
  const options: FloorOptions = {
    addresses: hosts.hosts.map(({ address }) => address),
    key: await readFile(join(hosts.dir, "id_ed25519"), "utf8"),
    hostKeys: Object.fromEntries(
      hosts.hosts.map(({ address, knownHostsLine }) => [address, knownHostsLine.split(" ")[2] ?? ""]),
    ),
    command: `${node} ${empty}`,
  };
  await writeFile(join(folder, "floor.json"), JSON.stringify(options));
  return [program, join(folder, "floor.json")];
}
