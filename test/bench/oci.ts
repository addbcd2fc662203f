import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dist } from "../dist.ts";
import { makeRootfs } from "../e2e/rootfs.ts";
import { startHosts, type TestHost, whyNoHosts } from "../hosts/hosts.ts";
import { makeDefaultConfig } from "./config.ts";
import { type Benchmark, below, interleave, type Row, within } from "./measure.ts";

const count = 30;
const rounds = 7;
const programs = { ours: join(dist, "nexcage-agent"), peer: "/usr/bin/crun" };
const node = join(dist, "lib/nexcage/node");
type Side = keyof typeof programs;

/** What podman and containerd call, against Debian's crun; each time is that of so many calls, one after the other. */
export const oci: Benchmark = {
  name: "oci",
  obstacle: whyNoHosts,
  async run() {
    await using hosts = await startHosts({ names: ["node1"] });
    const host = hosts.host("node1");
    const bundles = await makeBundles(host);
    const loop = (side: Side, words: string) => onHost(host, programs[side], join(bundles, side), words);
    const rows: Row[] = [];

    async function compare(
      name: string,
      limit: number,
      { before = "true", run, after = "true" }: { before?: string; run: string; after?: string },
    ): Promise<void> {
      for (const side of ["ours", "peer"] as const) await loop(side, before);
      const medians = await interleave(
        {
          ours: { run: () => loop("ours", run), undo: () => loop("ours", after) },
          peer: { run: () => loop("peer", run), undo: () => loop("peer", after) },
        },
        { rounds },
      );
      for (const side of ["ours", "peer"] as const) await loop(side, remove);
      rows.push(within({ name: `${count} × ${name}, against crun`, ...medians, unit: "ms" }, limit));
    }

    await compare("--version", 1.5, { run: "$A --version" });
    await compare("state", 1.5, { before: create, run: "$A state app-$i" });
    await compare("create and start", 1.2, { run: `${create}; $A start app-$i`, after: remove });
    await compare("start", 1.5, { before: create, run: "$A start app-$i", after: `${remove}; ${create}` });
    await compare("kill", 1.5, { before: `${create}; $A start app-$i`, run: "$A kill app-$i CONT" });
    await compare("exec", 1.5, { before: `${create}; $A start app-$i`, run: "$A exec app-$i /bin/true" });
    await compare("delete", 1.5, { before: create, run: "$A delete app-$i", after: create });
    return [...rows, await compareMemory(host, bundles), ...(await compareNode(host, bundles))];
  },
};

const create = "$A create --bundle $B/app-$i app-$i";
const remove = "$A delete --force app-$i";

/** Runs words for each number; what is started keeps its output, so it has nothing that somebody waits for. */
async function onHost(host: TestHost, program: string, bundles: string, words: string): Promise<void> {
  const script = `for i in $(seq ${count}); do ${words} || exit 1; done >/dev/null 2>"$B/said" </dev/null`;
  const { exitCode } = await host.exec(["sh", "-c", script], {
    env: { A: program, B: bundles },
    timeoutMs: 120_000,
  });
  if (exitCode !== 0) throw new Error(`${words} failed, see ${bundles}/said`);
}

async function makeBundles(host: TestHost): Promise<string> {
  const bundles = join(host.dir, "bundles");
  const rootfsPath = join(bundles, "rootfs");
  await makeRootfs(rootfsPath);
  const command = ["/bin/sleep", "100000"];
  for (const side of Object.keys(programs))
    for (let number = 1; number <= count; number++) {
      const id = `app-${number}`;
      const config = await makeDefaultConfig({ id, command, rootfsPath, cgroupsPath: `/${side}/${id}` });
      await mkdir(join(bundles, side, id), { recursive: true });
      await writeFile(join(bundles, side, id, "config.json"), JSON.stringify(config));
    }
  return bundles;
}

/** Of a run that waits for its container. */
async function compareMemory(host: TestHost, bundles: string): Promise<Row> {
  const script = `$A run --bundle $B/app-1 app-1 >/dev/null 2>&1 </dev/null & pid=$!
until $A state app-1 2>/dev/null | grep -q running; do sleep 0.05; done
grep VmRSS /proc/$pid/status; $A delete --force app-1; wait`;
  const residentBytes = async (program: string) => {
    const { stdout } = await host.exec(["sh", "-c", script], {
      env: { A: program, B: join(bundles, "ours") },
    });
    return Number(/VmRSS:\s*(\d+)/.exec(stdout)?.[1]) * 1024;
  };
  const peer = await residentBytes(programs.peer);
  const ours = await residentBytes(programs.ours);
  return below({
    name: "memory of a run that waits, limit crun's and 4 MB",
    ours: ours / 1e6,
    limit: peer / 1e6 + 4,
    unit: "MB",
  });
}

/** What is answered by Node, and for all backends. */
async function compareNode(host: TestHost, bundles: string): Promise<Row[]> {
  const empty = join(bundles, "empty.js");
  await writeFile(empty, "");
  const run = (...words: string[]) => ({ run: () => host.exec(words) });
  const { list, doctor, peer } = await interleave(
    { list: run(programs.ours, "list"), doctor: run(programs.ours, "doctor"), peer: run(node, empty) },
    { rounds: 15 },
  );
  return [
    within({ name: "list, against an empty Node", ours: list, peer, unit: "ms" }, 2.5),
    within({ name: "doctor, against an empty Node", ours: doctor, peer, unit: "ms" }, 2.5),
  ];
}
